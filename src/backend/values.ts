/**
 * Reads tensors out without a `tidy` that returns what was read. tfjs looks for tensors through whatever a
 * tidy returns, and through an array of numbers it goes one by one, each by its name as a string: the 38
 * million weights of AlexNet's fc6 fill any heap.
 */
import * as tf from '@tensorflow/tfjs';

/** A copy of the values of the tensor that `compute` makes; that and all that it takes are disposed. */
export function valuesOf(compute: () => tf.Tensor): Float32Array {
  const tensor = tf.tidy(compute);
  const values = tensor.dataSync<'float32'>().slice();
  tensor.dispose();
  return values;
}
