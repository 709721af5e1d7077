/** Work of a GPU that is recorded and repeated. */
import './use_double.js';
import * as tf from '@tensorflow/tfjs-core';
import assert from 'node:assert/strict';
import { afterEach, before, suite, test } from 'node:test';
import { capabilities, type RecordedWork } from '../../../src/backend/capabilities.js';
import { dropoutMask } from '../../../src/backend/fused.js';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import { NATIVE_CUDA, registerCuda } from '../../../src/backend/native/native.js';
import { updateParameter } from '../../../src/parallel/sgd.js';
import { deriveKey } from '../../../src/random.js';
import { randomTensor } from '../random_tensor.js';

const skip = cudaIsPrepared() ? false : "the GPUs' addon is not built here";

suite('recorded work', { skip }, () => {
  before(async () => {
    registerCuda(0);
    await tf.setBackend(NATIVE_CUDA);
  });

  afterEach(() => tf.disposeVariables());

  const keyOf = (step: number) => deriveKey(2012, 'recorded', step);

  /** A convolution, a dropout mask, values from the host, a product and a sum. */
  function compute(x: tf.Tensor4D, filter: tf.Tensor4D, step: number): tf.Tensor {
    return tf.tidy(() => {
      const y = tf.conv2d(x, filter, 1, 'same');
      const dropped = tf.mul(y, dropoutMask(keyOf(step), 0.5, y.shape));
      const scaled = tf.mul(dropped, tf.tensor1d([0.25, -3, 1.5]));
      const rows = tf.reshape<tf.Rank.R2>(scaled, [-1, 12]);
      return tf.sum(tf.matMul(rows, rows, false, true), 1);
    });
  }

  const input = (seed: number): tf.Tensor4D =>
    randomTensor<tf.Rank.R4>(`recorded ${seed}`, [2, 4, 4, 2]);

  function recorded(filter: tf.Variable<tf.Rank.R4>): RecordedWork<tf.Tensor> {
    const x = input(1);
    // Kernels choose algorithms, and scratch memory grows, before anything can be recorded.
    for (let step = 0; step < 2; step++) tf.dispose(compute(x, filter, step));
    const work = capabilities().record!([x], [filter], () => compute(x, filter, 0));
    x.dispose();
    return work;
  }

  function newFilter(): tf.Variable<tf.Rank.R4> {
    const initial = randomTensor<tf.Rank.R4>('filter', [3, 3, 2, 3]);
    const filter = tf.variable(initial, true);
    initial.dispose();
    return filter;
  }

  test('gives the bits of work that is asked for anew, with other inputs and keys', () => {
    const filter = newFilter();
    const work = recorded(filter);
    for (const step of [3, 4, 5]) {
      const x = input(step);
      const expected = compute(x, filter, step);
      assert.equal(work.repeat([x], [keyOf(step)]), true);
      assert.deepEqual(work.result.dataSync(), expected.dataSync());
      tf.dispose([x, expected]);
    }
    work.result.dispose();
    work.dispose();
  });

  test('reads variables as they are when it is repeated', () => {
    const filter = newFilter();
    const work = recorded(filter);
    const x = input(1);
    work.repeat([x], [keyOf(1)]);
    const before = work.result.dataSync();
    const velocity = tf.variable(tf.zerosLike(filter), false);
    const rule = { learningRate: 1, momentum: 0, weightDecay: 0 };
    updateParameter(filter, velocity, tf.onesLike(filter), rule);
    assert.equal(work.repeat([x], [keyOf(1)]), true);
    assert.notDeepEqual(work.result.dataSync(), before);
    assert.deepEqual(work.result.dataSync(), compute(x, filter, 1).dataSync());
    work.result.dispose();
    work.dispose();
  });

  test('is not repeated once a variable is elsewhere', () => {
    const filter = newFilter();
    const work = recorded(filter);
    filter.assign(randomTensor<tf.Rank.R4>(`recorded ${8}`, [3, 3, 2, 3]));
    assert.equal(work.repeat([input(1)], [keyOf(1)]), false);
    work.result.dispose();
    work.dispose();
  });

  test('is not repeated once scratch memory has moved', () => {
    const filter = newFilter();
    const work = recorded(filter);
    const large = randomTensor<tf.Rank.R4>('large', [1, 8, 8, 64]);
    const wide = randomTensor<tf.Rank.R4>('wide', [7, 7, 64, 128]);
    for (let turn = 0; turn < 2; turn++) tf.dispose(tf.conv2d(large, wide, 1, 'same'));
    assert.equal(work.repeat([input(1)], [keyOf(1)]), false);
    work.result.dispose();
    work.dispose();
  });

  test('that reads values is refused, and the GPU works on', () => {
    const x = input(1);
    const sum = tf.sum(x).dataSync()[0];
    assert.throws(
      () => capabilities().record!([x], [], () => tf.sum(x).dataSync()),
      /work that is recorded has no values yet/,
    );
    assert.equal(tf.sum(x).dataSync()[0], sum);
  });

  test('gives all its memory back', () => {
    const filter = newFilter();
    const bytes = () => capabilities().heldBytes!();
    const run = (): void => {
      const work = recorded(filter);
      const x = input(2);
      work.repeat([x], [keyOf(1)]);
      tf.dispose([x, work.result]);
      work.dispose();
    };
    run();
    const first = bytes();
    run();
    run();
    assert.equal(bytes(), first);
  });
});
