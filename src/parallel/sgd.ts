/**
 * Stochastic gradient descent with momentum and weight decay, the paper's update (section 5):
 *
 *     v ← μ·v − λ·ε·w − ε·g,   w ← w + v
 *
 * As in the paper, the momentum buffer contains the learning rate. PyTorch's SGD keeps it outside, which gives
 * the same w while the learning rate is constant.
 */
import * as tf from '@tensorflow/tfjs';
import { hasKernel, MOMENTUM_UPDATE } from '../backend/own_kernels.js';

export interface UpdateRule {
  /** ε, already multiplied by the parameter's own multiplier. */
  learningRate: number;
  /** μ. */
  momentum: number;
  /** λ, already multiplied by the parameter's own multiplier. */
  weightDecay: number;
}

/**
 * Updates `weight` and `velocity` in place; all three tensors have one shape, float32.
 *
 * @returns a scalar: 0 if all of the updated weight and velocity is finite, else NaN
 */
export function updateParameter(
  weight: tf.Variable,
  velocity: tf.Variable,
  gradient: tf.Tensor,
  rule: UpdateRule,
): tf.Scalar {
  const { learningRate, momentum, weightDecay } = rule;
  return tf.tidy(() => {
    if (hasKernel(MOMENTUM_UPDATE)) {
      const next: [tf.Tensor, tf.Tensor, tf.Scalar] = tf
        .engine()
        .runKernel(MOMENTUM_UPDATE, { weight, velocity, gradient }, { ...rule });
      weight.assign(next[0]);
      velocity.assign(next[1]);
      return next[2];
    }
    let next = tf.sub(tf.mul(velocity, momentum), tf.mul(gradient, learningRate));
    if (weightDecay !== 0) next = tf.sub(next, tf.mul(weight, weightDecay * learningRate));
    velocity.assign(next);
    weight.assign(tf.add(weight, next));
    // w + v is finite only if v is.
    return finiteCheck(weight);
  });
}

/** A scalar: 0 if all of `tensor` is finite, else NaN. */
export function finiteCheck(tensor: tf.Tensor): tf.Scalar {
  // 0 · x is 0 unless x is NaN or infinite; then it is NaN, and so is the sum.
  return tf.sum(tf.mul(tensor, 0));
}
