/**
 * Stochastic gradient descent with momentum and weight decay, as in section 5 of the paper:
 *
 *     v ← μ·v − λ·ε·w − ε·g,   w ← w + v
 *
 * The momentum buffer v contains the learning rate, as in the paper. PyTorch's SGD keeps it outside, which gives the
 * same w while the learning rate is constant.
 */
import * as tf from '@tensorflow/tfjs-core';
import { hasKernel, MOMENTUM_UPDATE } from '../backend/own_kernels.js';

export interface UpdateRule {
  /** ε. */
  learningRate: number;
  /** μ. */
  momentum: number;
  /** λ. */
  weightDecay: number;
}

/** The update rule of a whole step. Each parameter multiplies learning rate and weight decay by its own multipliers. */
export interface UpdateRuleOfRun extends UpdateRule {
  /** Learning-rate multipliers by parameter name, in place of the network's own. */
  multipliers?: Record<string, number>;
}

/**
 * Updates a parameter and its momentum buffer in place. All three tensors have one shape, float32.
 *
 * @param rule with the parameter's own multipliers applied
 * @returns a scalar: 0 if all of the updated parameter and momentum buffer is finite, else NaN
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
