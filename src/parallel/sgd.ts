/**
 * Stochastic gradient descent with momentum and weight decay, the paper's update (section 5):
 *
 *     v ← μ·v − λ·ε·w − ε·g,   w ← w + v
 *
 * Called by the tower worker, once a parameter when the coordinator commits a step. The learning rate
 * is inside the velocity, as in the paper; PyTorch's SGD keeps it outside, which gives the same w
 * while the rate is constant.
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
 */
export function updateParameter(
  weight: tf.Variable,
  velocity: tf.Variable,
  gradient: tf.Tensor,
  rule: UpdateRule,
): void {
  const { learningRate, momentum, weightDecay } = rule;
  tf.tidy(() => {
    if (hasKernel(MOMENTUM_UPDATE)) {
      const next: [tf.Tensor, tf.Tensor] = tf
        .engine()
        .runKernel(MOMENTUM_UPDATE, { weight, velocity, gradient }, { ...rule });
      weight.assign(next[0]);
      velocity.assign(next[1]);
      return;
    }
    let next = tf.sub(tf.mul(velocity, momentum), tf.mul(gradient, learningRate));
    if (weightDecay !== 0) next = tf.sub(next, tf.mul(weight, weightDecay * learningRate));
    velocity.assign(next);
    weight.assign(tf.add(weight, next));
  });
}
