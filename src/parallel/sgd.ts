/**
 * Stochastic gradient descent with momentum and weight decay, as in section 5 of the paper:
 *
 *     v ← μ·v − λ·ε·w − ε·g,   w ← w + v
 *
 * The momentum buffer v contains the learning rate, as in the paper. PyTorch's SGD keeps it outside, which gives the
 * same w while the learning rate is constant.
 */
import * as tf from '@tensorflow/tfjs';
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
