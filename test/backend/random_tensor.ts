/** Random tensors for the backend tests, the same in every run. */
import * as tf from '@tensorflow/tfjs-core';
import { deriveKey, fillNormal } from '../../src/random.js';

/** N(0, deviation²), named so that two of one shape differ. */
export function randomTensor<R extends tf.Rank>(
  name: string,
  shape: tf.ShapeMap[R],
  deviation = 1,
): tf.Tensor<R> {
  const values = new Float32Array(shape.reduce((product: number, size) => product * size, 1));
  fillNormal(deriveKey(1, name), 0, deviation, values);
  return tf.tensor<R>(values, shape);
}

/** The largest difference as a fraction of the largest expected magnitude. */
export function relativeDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let difference = 0;
  let magnitude = 0;
  for (let index = 0; index < expected.length; index++) {
    difference = Math.max(difference, Math.abs(actual[index]! - expected[index]!));
    magnitude = Math.max(magnitude, Math.abs(expected[index]!));
  }
  return difference / magnitude;
}
