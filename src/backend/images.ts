/**
 * Images as the network takes them, from the bytes of a batch. Called by the tower, which makes the table
 * once and the images of every step from it.
 */
import * as tf from '@tensorflow/tfjs';
import { hasKernel, IMAGES_FROM_BYTES } from './own_kernels.js';

const BYTE_VALUES = 256;

/**
 * What each byte becomes in each channel: (byte / 255 − mean) / std.
 * @returns `[256, channels]` float32
 */
export function normalizationTable(mean: number[], std: number[]): Float32Array {
  const table = new Float32Array(BYTE_VALUES * mean.length);
  for (let byte = 0; byte < BYTE_VALUES; byte++) {
    mean.forEach((value, channel) => {
      table[byte * mean.length + channel] = (byte / 255 - value) / std[channel]!;
    });
  }
  return table;
}

/** Of the batch under way; fresh memory at 227² costs more in page faults than all the arithmetic. */
let kept = new Float32Array(0);

/**
 * @param bytes `shape`'s elements, the channels last
 * @param table of `normalizationTable`
 * @returns float32 of `shape`; valid until the next call in this thread
 */
export function imagesFromBytes(
  bytes: Uint8Array,
  table: Float32Array,
  shape: [number, number, number, number],
): tf.Tensor4D {
  if (hasKernel(IMAGES_FROM_BYTES)) {
    const attributes = { bytes, table, shape } as unknown as tf.NamedAttrMap;
    return tf.engine().runKernel(IMAGES_FROM_BYTES, {}, attributes);
  }
  if (kept.length < bytes.length) kept = new Float32Array(bytes.length);
  const channels = shape[3];
  for (let index = 0; index < bytes.length; index += channels) {
    for (let channel = 0; channel < channels; channel++) {
      kept[index + channel] = table[bytes[index + channel]! * channels + channel]!;
    }
  }
  return tf.tensor4d(kept.subarray(0, bytes.length), shape);
}

/** How bytes become the network's input; the same for every image. */
export interface ImageNormalization {
  /** Of `normalizationTable`. */
  table: Float32Array;
  std: number[];
  /** float32 `[height, width, channels]`, divided by `std` too; null: none is subtracted. */
  meanImage: Float32Array | null;
}

/**
 * As `imagesFromBytes`, less the mean image, and with noise on each image's colour.
 *
 * The bytes stay bytes until here, so both are passes over the batch of their own; a run without them has
 * neither.
 *
 * @param noise float32 `[count, channels]`, for pixels from 0 to 1; null: none
 */
export function normalizedImages(
  bytes: Uint8Array,
  { table, std, meanImage }: ImageNormalization,
  noise: Float32Array | null,
  shape: [number, number, number, number],
): tf.Tensor4D {
  const [count, height, width, channels] = shape;
  if (meanImage === null && noise === null) return imagesFromBytes(bytes, table, shape);
  return tf.tidy(() => {
    let images = imagesFromBytes(bytes, table, shape);
    if (meanImage !== null) {
      images = tf.sub(images, tf.tensor4d(meanImage, [1, height, width, channels]));
    }
    if (noise !== null) {
      const scaled = noise.map((value, index) => value / std[index % channels]!);
      images = tf.add(images, tf.tensor4d(scaled, [count, 1, 1, channels]));
    }
    return images;
  });
}
