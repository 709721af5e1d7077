/**
 * The gradient of ReLU from its output: dx = 0 where y ≤ 0, else dy (at 0 it is 0, as in PyTorch).
 *
 * tfjs's own takes four element-wise passes over the input, and keeps the input alive for them. This one saves the
 * output, which the next layer keeps anyway, and is one pass if the backend has the kernel `RELU_GRADIENT`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { hasKernel, RELU_GRADIENT } from './own_kernels.js';

/** Replaces tfjs's gradient of ReLU in the calling thread. */
export function registerReluGradient(): void {
  tf.unregisterGradient(tf.Relu);
  tf.registerGradient({
    kernelName: tf.Relu,
    outputsToSave: [true],
    gradFunc: (dy, saved) => ({ x: () => reluGradient(dy as tf.Tensor, saved[0]!) }),
  });
}

/**
 * @param dy gradient of the loss by the output
 * @param y ReLU's output, of the same shape
 */
export function reluGradient(dy: tf.Tensor, y: tf.Tensor): tf.Tensor {
  if (!hasKernel(RELU_GRADIENT)) return tf.tidy(() => tf.mul(dy, tf.step(y)));
  return tf.engine().runKernel(RELU_GRADIENT, { dy, y });
}
