/** The line by which a run and its log name their backend. */
import type { BackendInformation } from './backend.js';

/** The backend with its libraries' versions, in one line. */
export function describeBackend(information: BackendInformation): string {
  const { backend, precision, tensorflow, oneDnn, algorithms, cuda, tfjs } = information;
  return [
    tensorflow === null ? backend : `${backend} ${tensorflow}`,
    ...(oneDnn === null ? [] : [`oneDNN ${oneDnn}`]),
    ...(algorithms === null ? [] : [`algorithms ${algorithms}`]),
    ...(cuda === null ? [] : [`CUDA ${cuda}`]),
    ...(precision === 'float32' ? [] : [precision]),
    `tfjs ${tfjs}`,
  ].join(', ');
}
