/**
 * The gradient of ReLU from its output: dx = 0 where y ≤ 0, else dy (at 0 it is 0, as in PyTorch).
 *
 * tfjs's own takes four element-wise passes over the input, and keeps the input alive for them. This one saves the
 * output, which the next layer keeps anyway, and is one pass if the backend has the kernel `RELU_GRADIENT`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { hasKernel, MAX_POOL_OF_RELU_GRADIENT, RELU_GRADIENT } from './own_kernels.js';

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

/** Data of tensors that a fused layer's ReLU gave, and of gradients that have passed back through it already. */
const reluOutputs = new WeakSet<object>();
const gradientsBeforeRelu = new WeakSet<object>();

/** Notes that a layer's own ReLU gave `y`, so that max pooling may compute the gradient of both. */
export function noteReluOutput(y: tf.Tensor): void {
  reluOutputs.add(y.dataId);
}

/** Whether `dy`, the gradient of a fused layer's output, is the gradient before its ReLU already. */
export function isBeforeRelu(dy: tf.Tensor): boolean {
  return gradientsBeforeRelu.has(dy.dataId);
}

/**
 * Replaces tfjs's gradient of max pooling in the calling thread: directly after a fused layer's ReLU, one kernel computes
 * the gradients of both, if the backend has it. If the ReLU's output is read elsewhere too, tfjs adds the gradients
 * to a new tensor, whose gradient through the ReLU is computed as ever: a second time changes nothing.
 */
export function registerMaxPoolGradient(): void {
  const { gradFunc, ...saved } = tf.getGradient(tf.MaxPool);
  tf.unregisterGradient(tf.MaxPool);
  tf.registerGradient({
    ...saved,
    gradFunc: (dy, tensors, attributes) => {
      const [input, output] = tensors as [tf.Tensor, tf.Tensor];
      if (!reluOutputs.has(input.dataId) || !hasKernel(MAX_POOL_OF_RELU_GRADIENT)) {
        return gradFunc(dy, tensors, attributes);
      }
      return {
        x: () => {
          const inputs = { dy: dy as tf.Tensor, input, output };
          const dx: tf.Tensor = tf
            .engine()
            .runKernel(MAX_POOL_OF_RELU_GRADIENT, inputs, attributes);
          gradientsBeforeRelu.add(dx.dataId);
          return dx;
        },
      };
    },
  });
}
