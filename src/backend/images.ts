/** Converts the bytes of a batch to the images that the network takes. */
import * as tf from '@tensorflow/tfjs-core';
import { type BatchImages, type ImageNormalization, capabilities } from './capabilities.js';
import { hasKernel, IMAGES_FROM_BYTES } from './own_kernels.js';

const BYTE_VALUES = 256;

/**
 * The normalized value of each byte in each channel: (byte / 255 − mean) / std.
 *
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

/** The current batch's values, reused: fresh memory at 227² costs more in page faults than all the arithmetic. */
let kept = new Float32Array(0);

/**
 * @param bytes uint8 of `shape`
 * @param table from `normalizationTable`
 * @param shape `[batch, height, width, channels]`
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

/**
 * The network's input: `imagesFromBytes`, minus the mean image, plus PCA colour noise per image. Where the device does not make
 * images, each of the two is a pass of its own over the batch, which a run without it does not have.
 *
 * @param noise float32 `[count, channels]`, on the scale of pixels from 0 to 1; null for none
 * @param shape `[count, height, width, channels]`
 */
export function normalizedImages(
  batch: BatchImages,
  normalization: ImageNormalization,
  noise: Float32Array | null,
  shape: [number, number, number, number],
): tf.Tensor4D {
  const { table, std, meanImage } = normalization;
  const [count, height, width, channels] = shape;
  const colours = noise && noise.map((value, index) => value / std[index % channels]!);
  const { imageMaker } = capabilities();
  if (imageMaker !== undefined) return imageMaker.images(batch, normalization, colours, shape);
  if (batch.views !== undefined) throw new Error('this device does not cut images');
  const { bytes } = batch;
  if (meanImage === null && colours === null) return imagesFromBytes(bytes, table, shape);
  return tf.tidy(() => {
    let images = imagesFromBytes(bytes, table, shape);
    if (meanImage !== null) {
      images = tf.sub(images, tf.tensor4d(meanImage, [1, height, width, channels]));
    }
    if (colours !== null) images = tf.add(images, tf.tensor4d(colours, [count, 1, 1, channels]));
    return images;
  });
}
