import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { prepareProcess, useBackend, whyMissing } from '../../src/backend/backend.js';
import { localResponseNormalization } from '../../src/backend/lrn.js';
import { randomTensor, relativeDifference } from './random_tensor.js';

before(async () => {
  prepareProcess();
  await useBackend({
    backend: whyMissing('tensorflow') === null ? 'tensorflow' : 'wasm',
    device: 'cpu',
    threads: 1,
  });
});

// Both add up five terms and take two roots or one power: some ten roundings of 6e-8.
const TOLERANCE = 1e-6;

for (const { size, beta } of [
  { size: 5, beta: 0.75 },
  { size: 3, beta: 0.5 },
]) {
  const recipe = { size, k: 2, alpha: 0.1, beta };
  const composed = (x: tf.Tensor) => localResponseNormalization(x as tf.Tensor4D, recipe);
  const kernel = (x: tf.Tensor) =>
    tf.localResponseNormalization(x as tf.Tensor4D, (size - 1) / 2, 2, 0.1, beta);

  test(`the values are those of TensorFlow's kernel, size ${size}, beta ${beta}`, () => {
    const x = randomTensor<tf.Rank.R4>('x', [2, 3, 4, 7], 3);
    const difference = relativeDifference(composed(x).dataSync(), kernel(x).dataSync());
    assert.ok(difference < TOLERANCE, `relative difference ${difference}`);
  });

  test(`the gradient is that of TensorFlow's kernel, size ${size}, beta ${beta}`, () => {
    const x = randomTensor<tf.Rank.R4>('x', [2, 3, 4, 7], 3);
    const dy = randomTensor<tf.Rank.R4>('dy', [2, 3, 4, 7]);
    const difference = relativeDifference(
      tf.grad(composed)(x, dy).dataSync(),
      tf.grad(kernel)(x, dy).dataSync(),
    );
    assert.ok(difference < TOLERANCE, `relative difference ${difference}`);
  });
}
