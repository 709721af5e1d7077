import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { prepareProcess, useBackend } from '../../src/backend/backend.js';
import { tensorFlowIsPrepared } from '../../src/backend/device_pin.js';
import { randomTensor } from './random_tensor.js';

const skip = tensorFlowIsPrepared() ? false : 'TensorFlow is not prepared here';

before(async () => {
  if (skip !== false) return;
  prepareProcess();
  await useBackend({ backend: 'tensorflow', device: 'cpu', threads: 1 });
});

/** tfjs's plain JavaScript backend, on the same values. */
async function onPlainBackend<Result>(compute: () => Result): Promise<Result> {
  await tf.setBackend('cpu');
  try {
    return compute();
  } finally {
    await tf.setBackend('tensorflow');
  }
}

for (const { shape, size, stride } of [
  { shape: [2, 13, 13, 5], size: 3, stride: 2 },
  { shape: [1, 14, 9, 3], size: 3, stride: 2 },
  { shape: [3, 8, 8, 16], size: 2, stride: 2 },
  { shape: [2, 7, 6, 4], size: 3, stride: 1 },
] as const) {
  test(
    `max pooling ${size}/${stride} of [${shape.join(', ')}] and its gradient`,
    { skip },
    async () => {
      const values = randomTensor<tf.Rank.R4>('x', [...shape]).dataSync<'float32'>();
      const run = (): { output: Float32Array; gradient: Float32Array } => {
        const x = tf.tensor4d(values, [...shape]);
        const pool = (input: tf.Tensor4D): tf.Tensor4D => tf.maxPool(input, size, stride, 'valid');
        const output = pool(x);
        const dy = tf.tensor4d(
          Float32Array.from({ length: output.size }, (_, index) => Math.sin(index + 1)),
          output.shape,
        );
        const gradient = tf.grad((input) => pool(input as tf.Tensor4D))(x, dy);
        return {
          output: output.dataSync<'float32'>().slice(),
          gradient: gradient.dataSync<'float32'>().slice(),
        };
      };
      const own = run();
      const plain = await onPlainBackend(run);
      assert.deepEqual(own.output, plain.output);
      // Overlapping windows add up to nine float32 terms below 1, in either order.
      own.gradient.forEach((value, index) => {
        assert.ok(Math.abs(value - plain.gradient[index]!) <= 9 * 2 ** -23, `element ${index}`);
      });
    },
  );
}
