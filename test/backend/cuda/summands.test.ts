/** Tensors of a GPU that are copied to the host, changed there, and return, while the GPU computes. */
import './use_double.js';
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { capabilities } from '../../../src/backend/capabilities.js';
import type { Summand } from '../../../src/backend/capabilities.js';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import { useCuda } from '../../../src/backend/native/native.js';

const skip = cudaIsPrepared() ? false : "the GPUs' addon is not built here";
if (skip === false) await useCuda(0, 'float32', 1);
const summands = skip === false ? capabilities().summands! : undefined!;

/** Large, so that copies last. */
const LENGTH = 1 << 22;
const ROUNDS = 4;

/** A tensor of one random integer, which is computed after work that lasts. */
function slowly(): { tensor: tf.Tensor; value: number } {
  const value = randomInt(1, 1 << 20);
  const tensor = tf.tidy(() => {
    const matrix = tf.ones<tf.Rank.R2>([256, 256]);
    const one = tf.div(tf.mean(tf.matMul(matrix, matrix)), 256);
    return tf.mul(tf.ones([LENGTH]), tf.mul(one, value));
  });
  return { tensor, value };
}

function waitFor({ ready }: Summand): void {
  while (Atomics.load(ready!, 0) === 0) Atomics.wait(ready!, 0, 0, 1);
}

function assertAll(values: Float32Array, expected: number): void {
  const wrong = values.findIndex((value) => value !== expected);
  assert.equal(wrong, -1, `${values[wrong]} in place of ${expected} at ${wrong}`);
}

test('the values are on the host once the word says so', { skip }, () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { tensor, value } = slowly();
    const summand = summands.summandOf('there', tensor);
    tensor.dispose();
    waitFor(summand);
    assertAll(summand.values, value);
    summand.sum().dispose();
  }
});

test('what is enqueued next reads the sum, and has it', { skip }, () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { tensor, value } = slowly();
    const summand = summands.summandOf('back', tensor);
    tensor.dispose();
    waitFor(summand);
    summand.values.fill(value + 0.5);
    const sum = summand.sum();
    const doubled = tf.mul(sum, 2);
    assertAll(doubled.dataSync<'float32'>(), 2 * value + 1);
    tf.dispose([sum, doubled]);
  }
});

test('the next values of a name come after the sum before has left the host', { skip }, () => {
  let last: { sum: tf.Tensor; expected: number } | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const { tensor, value } = slowly();
    const summand = summands.summandOf('again', tensor);
    tensor.dispose();
    if (last !== undefined) {
      assertAll(last.sum.dataSync<'float32'>(), last.expected);
      last.sum.dispose();
    }
    waitFor(summand);
    summand.values.fill(value + 0.5);
    last = { sum: summand.sum(), expected: value + 0.5 };
  }
  last!.sum.dispose();
});

test('memory of a tensor that is disposed stays until its values have left', { skip }, () => {
  const { tensor, value } = slowly();
  const summand = summands.summandOf('kept', tensor);
  tensor.dispose();
  const others = Array.from({ length: ROUNDS }, () => tf.fill([LENGTH], -1));
  waitFor(summand);
  assertAll(summand.values, value);
  tf.dispose([summand.sum(), ...others]);
});
