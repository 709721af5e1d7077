/**
 * Reads tensors without returning the values through a `tidy`. tfjs searches whatever a tidy returns for tensors, an
 * array of numbers element by element, each under its name as a string: the 38 million weights of AlexNet's fc6 would
 * fill any heap.
 */
import * as tf from '@tensorflow/tfjs-core';

/** A copy of the values of the tensor that `compute` returns. All tensors made on the way are disposed. */
export function valuesOf(compute: () => tf.Tensor): Float32Array {
  const tensor = tf.tidy(compute);
  const values = tensor.dataSync<'float32'>().slice();
  tensor.dispose();
  return values;
}
