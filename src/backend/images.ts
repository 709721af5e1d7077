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
