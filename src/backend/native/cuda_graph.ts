/** Work of a GPU that is recorded once and repeated: CUDA graphs. */
import * as tf from '@tensorflow/tfjs-core';
import type { Key } from '../../random.js';
import type { RecordedWork } from '../capabilities.js';
import type { CudaAddon, CudaGraph } from './cuda_addon.js';
import type { CudaArray } from './cuda_array.js';
import type { CudaPools } from './cuda_pools.js';
import type { DeviceBackend } from './device_backend.js';

/** What recording needs of the backend. */
interface Recorder extends Pick<DeviceBackend<CudaArray>, 'arrayOf'> {
  readonly addon: CudaAddon;
  readonly pools: CudaPools;
}

/** `Capabilities.record`. */
export function recordWork<Result>(
  backend: Recorder,
  inputs: readonly tf.Tensor[],
  variables: readonly tf.Tensor[],
  work: () => Result,
): RecordedWork<Result> {
  const { addon, pools } = backend;
  const kept = inputs.map((input) => tf.keep(tf.clone(input)));
  const arrays = kept.map((input) => backend.arrayOf(input)!);
  const places = variables.map((variable) => backend.arrayOf(variable)!);
  addon.beginGraph();
  pools.startReserving();
  let result: Result | undefined;
  let graph: CudaGraph;
  try {
    result = work();
    graph = addon.endGraph();
  } catch (error) {
    addon.abandonGraph();
    tf.dispose([kept, result as tf.TensorContainer]);
    pools.stopReserving()();
    throw error;
  }
  const free = pools.stopReserving();
  return {
    result,
    repeat: (values, keys) => {
      if (variables.some((variable, index) => backend.arrayOf(variable) !== places[index])) {
        return false;
      }
      values.forEach((value, index) => copy(addon, backend.arrayOf(value)!, arrays[index]!));
      return addon.repeatGraph(graph, wordsOf(keys));
    },
    dispose: () => {
      addon.freeGraph(graph);
      free();
      tf.dispose(kept);
    },
  };
}

function wordsOf(keys: readonly Key[]): Int32Array {
  return Int32Array.from(keys.flatMap((key) => [...key]));
}

/** Both of one type and length. */
function copy(addon: CudaAddon, from: CudaArray, to: CudaArray): void {
  addon.copyBox(from, [from.length], [0], to, [to.length], [0], [to.length]);
}
