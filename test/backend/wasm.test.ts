import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { useBackend } from '../../src/backend/backend.js';
import { UserError } from '../../src/errors.js';
import { randomTensor, relativeDifference } from './random_tensor.js';

before(() => useBackend({ backend: 'wasm', device: 'cpu', threads: 1 }));

const CASES: { name: string; stride: number; pad: 'same' | 'valid' | number; filter: number }[] = [
  { name: 'valid', stride: 1, pad: 'valid', filter: 3 },
  { name: 'same, even filter', stride: 1, pad: 'same', filter: 4 },
  { name: 'same, stride 2', stride: 2, pad: 'same', filter: 3 },
  { name: 'explicit pad', stride: 1, pad: 2, filter: 5 },
  { name: 'stride that leaves rows over', stride: 4, pad: 'valid', filter: 6 },
  { name: 'explicit pad and stride', stride: 3, pad: 1, filter: 4 },
];

for (const { name, stride, pad, filter } of CASES) {
  test(`the filter's gradient is that of the plain backend: ${name}`, async () => {
    // tfjs takes a rounding with an explicit pad only.
    const rounding = typeof pad === 'number' ? 'floor' : undefined;
    const gradient = (backend: string) =>
      tf.setBackend(backend).then(() => {
        const x = randomTensor<tf.Rank.R4>('x', [3, 13, 11, 5]);
        const w = randomTensor<tf.Rank.R4>('w', [filter, filter, 5, 6]);
        const convolution = (kernel: tf.Tensor) =>
          tf.conv2d(x, kernel as tf.Tensor4D, stride, pad, 'NHWC', 1, rounding);
        const dy = randomTensor('dy', convolution(w).shape);
        return tf.grad(convolution)(w, dy).dataSync();
      });
    const difference = relativeDifference(await gradient('wasm'), await gradient('cpu'));
    // Sums of at most 3·13·11 products: √429 roundings of 6e-8.
    assert.ok(difference < 2e-6, `relative difference ${difference}`);
  });
}

test('several worker threads compute at once', async () => {
  const sums = await Promise.all(
    [0, 1].map(() => {
      const worker = new Worker(new URL('./wasm_worker.js', import.meta.url));
      return new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
    }),
  );
  assert.deepEqual(sums, [
    [11, 22],
    [11, 22],
  ]);
});

test('a GPU is refused by name', async () => {
  await assert.rejects(useBackend({ backend: 'wasm', device: 'gpu:1', threads: 1 }), {
    name: UserError.name,
    message: /gpu:1/,
  });
});
