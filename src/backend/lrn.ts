import * as tf from '@tensorflow/tfjs';
export function localResponseNormalization(
  x: tf.Tensor4D,
  l: { size: number; k: number; alpha: number; beta: number },
): tf.Tensor {
  return tf.localResponseNormalization(x, (l.size - 1) / 2, l.k, l.alpha, l.beta);
}
