import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { prepareProcess, useBackend } from '../../src/backend/backend.js';
import { convolve, fullyConnect } from '../../src/backend/fused.js';
import type { Activation } from '../../src/backend/numerics.js';

before(async () => {
  prepareProcess();
  await useBackend({ backend: 'wasm', device: 'cpu', threads: 1 });
});

const LAYERS = 6;
const FLOAT32_BYTES = 4;

/** A stack of layers that all have outputs of `shape`. */
const STACKS = {
  convolutions: {
    shape: [2, 16, 16, 8],
    weight: [1, 1, 8, 8],
    apply: (x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor1D, activation: Activation) =>
      convolve(x as tf.Tensor4D, weight as tf.Tensor4D, bias, 1, 'valid', activation),
  },
  products: {
    shape: [512, 8],
    weight: [8, 8],
    apply: (x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor1D, activation: Activation) =>
      fullyConnect(x as tf.Tensor2D, weight as tf.Tensor2D, bias, activation),
  },
};

/** Most bytes of tensors alive at once in a forward and backward pass. */
async function peakBytes(stack: keyof typeof STACKS, activation: Activation): Promise<number> {
  const { shape, weight, apply } = STACKS[stack];
  const input = tf.ones(shape);
  const weights = Array.from({ length: LAYERS }, () => tf.variable(tf.ones(weight)));
  const biases = Array.from({ length: LAYERS }, () => tf.variable(tf.zeros<tf.Rank.R1>([8])));
  const { peakBytes } = await tf.profile(() => {
    const loss = (): tf.Scalar =>
      tf.sum(weights.reduce((x, one, layer) => apply(x, one, biases[layer]!, activation), input));
    tf.dispose(tf.variableGrads(loss));
    return [];
  });
  tf.dispose([input, ...weights, ...biases]);
  return peakBytes;
}

for (const stack of ['convolutions', 'products'] as const) {
  test(`in a stack of ${stack} one gradient of a ReLU is alive at a time`, async () => {
    const linear = await peakBytes(stack, 'linear');
    const relu = await peakBytes(stack, 'relu');
    const activation = tf.util.sizeFromShape(STACKS[stack].shape) * FLOAT32_BYTES;
    // The gradient under way, the factor that makes it, and small tensors; not one for each layer.
    assert.ok(relu - linear <= 3 * activation, `${(relu - linear) / activation} activations more`);
  });
}
