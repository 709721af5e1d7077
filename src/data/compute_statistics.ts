/** Computes the statistics of a data set's training images by decoding each of them. */
import type { DataConfiguration, ImageView } from '../configuration.js';
import type { Size } from '../image_views.js';
import { usableCores } from '../usable_cores.js';
import { BatchRing } from './batches.js';
import type { Dataset } from './examples.js';
import { identityOf } from './dataset_identity.js';
import { type DatasetStatistics, addImage, emptySums, statisticsOf } from './statistics.js';

/** Images that are decoded together. */
const BATCH = 16;

/** Bounds of the reading. */
export interface StatisticsOptions {
  /** Called with the number of images that have been read. */
  onProgress?: (done: number, of: number) => void;
  /** Aborted: the statistics are rejected at once with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Size of the image that windows are cut from, pixels: the size of the mean image. */
export function sizeBeforeCropping(view: ImageView, input: Size): Size {
  return view.type === 'crop' ? { height: view.from, width: view.from } : input;
}

/**
 * Reads every training image once, in threads, as the network sees it before random windows are cut: with
 * `data.view` of `crop` the central square, otherwise the whole image resized to the network's input.
 *
 * Images that cannot be decoded are left out.
 *
 * @param input the network's input, pixels
 * @throws UserError if no image can be decoded; the signal's reason after an abort
 */
export async function computeStatistics(
  dataset: Dataset,
  { view, background }: Pick<DataConfiguration, 'view' | 'background'>,
  input: Size,
  { onProgress, signal }: StatisticsOptions = {},
): Promise<DatasetStatistics> {
  const { height, width } = sizeBeforeCropping(view, input);
  const ring = new BatchRing({
    dataset,
    data: {
      view: view.type === 'crop' ? view : { type: 'resize' },
      flip: false,
      background,
      undecodableLimit: 1,
    },
    height,
    width,
    batch: BATCH,
    seed: 0,
    decoders: usableCores(),
    slots: 3,
  });
  const sums = emptySums(height, width);
  const bytes = height * width * 3;
  const { count } = dataset.train;
  try {
    onProgress?.(0, count);
    for await (const batch of ring.sample('train', signal)) {
      const pixels = new Uint8Array(batch.pixels);
      for (let image = 0; image < batch.count; image++) {
        addImage(sums, pixels.subarray(image * bytes, (image + 1) * bytes));
      }
      onProgress?.(Math.min(count, (batch.index + 1) * BATCH), count);
      batch.release();
    }
  } finally {
    await ring.close();
  }
  return statisticsOf(identityOf(dataset), sums);
}
