/** Statistics of a data set's training images, by decoding each of them. */
import type { ImageView } from '../configuration.js';
import { UserError } from '../errors.js';
import type { Dataset } from './dataset.js';
import { Decoder } from './decoder.js';
import { addImage, emptySums, statisticsOf } from './statistics.js';
import type { DatasetStatistics } from './statistics.js';

/**
 * Reads every training image once, in this thread, brought to [height, width] as `data.view` would: to a
 * square by its shorter side and its centre, else by resizing.
 * CIFAR-10 takes seconds, a photograph about 10 ms. Images that cannot be decoded are left out: the batch
 * ring counts and limits them.
 * @param onProgress called with how many have been read, before each
 * @throws UserError where none can be decoded
 */
export async function computeStatistics(
  dataset: Dataset,
  height: number,
  width: number,
  onProgress?: (done: number, of: number) => void,
): Promise<DatasetStatistics> {
  const pixels = new SharedArrayBuffer(height * width * 3);
  const slots = [{ pixels, labels: new SharedArrayBuffer(4) }];
  const view: ImageView = height === width ? { type: 'crop', from: height } : { type: 'resize' };
  const data = { view, flip: false };
  const decoder = new Decoder({ dataset, data, height, width, seed: 0, colourAxes: null, slots });
  const sums = emptySums(height, width);
  const { count } = dataset.train;
  for (let index = 0; index < count; index++) {
    onProgress?.(index, count);
    const views = Uint32Array.of(index);
    const task = { slot: 0, first: 0, split: 'train', views, crops: 1, epoch: null } as const;
    const undecodable = await decoder.decode(task);
    if (undecodable.length === 0) addImage(sums, new Uint8Array(pixels));
  }
  if (sums.images === 0) throw new UserError(`none of ${count} training images can be decoded`);
  return statisticsOf(dataset.train.kind, sums);
}
