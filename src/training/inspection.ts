/**
 * What a trained network computes of single images: class probabilities, and the training images nearest to
 * test images by the activations of the last hidden layer (fc7 in AlexNet).
 */
import { imageIn } from '../data/batch_memory.js';
import type { Batch } from '../data/batches.js';
import { rowOf, softmax } from '../model/probabilities.js';
import type { Coordinator } from '../parallel/coordinator.js';
import type { JudgedImage, Neighbourhood } from '../report/image_figures.js';
import type { Picture } from '../report/markup.js';

export interface InspectedImage extends JudgedImage {
  /** float32 `[units]`. */
  features: Float32Array;
}

/** Visits the first `count` examples of `batches`. @returns how many there were, at most `count` */
async function inspectEach(
  coordinator: Coordinator,
  batches: AsyncIterable<Batch>,
  count: number,
  visit: (image: {
    picture: () => Picture;
    label: number;
    logits: Float32Array;
    features: Float32Array;
  }) => void,
  onBatch?: (seen: number) => void,
): Promise<number> {
  let seen = 0;
  for await (const batch of batches) {
    const { logits, features } = await coordinator.inspect(batch);
    const labels = new Int32Array(batch.labels);
    for (let index = 0; index < batch.count && seen < count; index++, seen++) {
      visit({
        picture: () => pictureIn(batch, index, coordinator),
        label: labels[index]!,
        logits: rowOf(logits, index, batch.count),
        features: rowOf(features, index, batch.count),
      });
    }
    batch.release();
    onBatch?.(seen);
    if (seen >= count) break;
  }
  return seen;
}

/** Computes the first `count` examples of `batches`. */
export async function inspectImages(
  coordinator: Coordinator,
  batches: AsyncIterable<Batch>,
  count: number,
): Promise<InspectedImage[]> {
  const images: InspectedImage[] = [];
  await inspectEach(coordinator, batches, count, ({ picture, label, logits, features }) => {
    const probabilities = softmax(logits);
    images.push({ picture: picture(), label, probabilities, features: features.slice() });
  });
  return images;
}

/**
 * Finds the `kept` images nearest to each query among the first `searched` examples of `batches`, by the Euclidean
 * distance of their features, as in section 6.1 of the paper.
 *
 * @param onBatch hears after each batch how many are searched
 * @returns a row per query, the nearest image first; how many images were searched
 */
export async function nearestImages(
  coordinator: Coordinator,
  batches: AsyncIterable<Batch>,
  queries: InspectedImage[],
  searched: number,
  kept: number,
  onBatch?: (seen: number) => void,
): Promise<{ rows: Neighbourhood[]; searched: number }> {
  const rows = queries.map((query): Neighbourhood => ({ query, nearest: [] }));
  const seen = await inspectEach(
    coordinator,
    batches,
    searched,
    ({ picture, label, features }) => {
      for (const [index, { nearest }] of rows.entries()) {
        const distance = distanceBetween(queries[index]!.features, features);
        if (nearest.length === kept && distance >= nearest.at(-1)!.distance) continue;
        const place = nearest.findIndex((other) => distance < other.distance);
        nearest.splice(place < 0 ? nearest.length : place, 0, {
          picture: picture(),
          label,
          distance,
        });
        nearest.length = Math.min(nearest.length, kept);
      }
    },
    onBatch,
  );
  return { rows, searched: seen };
}

function pictureIn(batch: Batch, index: number, { network }: Coordinator): Picture {
  const { height, width } = network.input;
  return { height, width, pixels: imageIn(batch, index, network.input) };
}

function distanceBetween(one: Float32Array, other: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < one.length; index++) sum += (one[index]! - other[index]!) ** 2;
  return Math.sqrt(sum);
}
