/** Sums by NCCL in a group of one, beside the work of the GPU. test/hosts/gpus.test.ts has groups of several. */
import './use_double.js';
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { before, suite, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { capabilities } from '../../../src/backend/capabilities.js';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import { useCuda } from '../../../src/backend/native/native.js';

/** Large, so that a sum lasts. */
const LENGTH = 1 << 22;
const ROUNDS = 3;

suite('NCCL', { skip: cudaIsPrepared() ? false : "the GPUs' addon is not built here" }, () => {
  before(async () => {
    await useCuda(0, 'float32', 1);
    const sums = capabilities().gpuSums!;
    const id = new Uint8Array(sums.idBytes);
    sums.makeId(id);
    sums.join(id, 0, 1);
  });

  test('says which GPU and which version of the library the thread has', () => {
    const { uuid, nccl } = capabilities().gpuSums!.member();
    assert.match(uuid, /^GPU-[0-9a-f-]{36}$/);
    assert.match(nccl!, /^\d+\.\d+\.\d+$/);
  });

  test('a sum comes after what was enqueued before it, and before what is enqueued after it', () => {
    const sums = capabilities().gpuSums!;
    for (let round = 0; round < ROUNDS; round++) {
      const value = randomInt(1, 1 << 20);
      const tensor = tf.tidy(() => {
        const matrix = tf.ones<tf.Rank.R2>([256, 256]);
        const one = tf.div(tf.mean(tf.matMul(matrix, matrix)), 256);
        return tf.mul(tf.ones([LENGTH]), tf.mul(one, value));
      });
      const take = sums.begin(tensor);
      tensor.dispose();
      const sum = take();
      const doubled = tf.mul(sum, 2);
      while (!sums.areDone(100));
      const values = doubled.dataSync<'float32'>();
      assert.equal(
        values.findIndex((one) => one !== 2 * value),
        -1,
      );
      assert.ok(sums.takeMs() > 0);
      tf.dispose([sum, doubled]);
    }
  });
});
