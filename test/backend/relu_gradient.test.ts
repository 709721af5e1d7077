import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { prepareProcess, useBackend, type BackendName } from '../../src/backend/backend.js';
import { tensorFlowIsPrepared } from '../../src/backend/device_pin.js';

// The smallest normal number, since backends may flush smaller ones to 0.
const TINY = 2 ** -126;

for (const backend of ['tensorflow', 'wasm'] as BackendName[]) {
  const missing = backend === 'tensorflow' && !tensorFlowIsPrepared();
  const skip = missing ? 'TensorFlow is not prepared here' : false;

  test(`the gradient of ReLU on ${backend} is 0 up to 0 and dy above`, { skip }, async () => {
    prepareProcess();
    await useBackend({ backend, device: 'cpu', threads: 1 });
    const x = tf.tensor1d([-3, -TINY, -0, 0, TINY, 3]);
    const dy = tf.tensor1d([5, 6, 7, 8, -9, 10]);
    const gradient = tf.grad((input) => tf.relu(input))(x, dy);
    // Adding 0 makes −0 and 0 the same.
    assert.deepEqual(
      Array.from(gradient.dataSync(), (value) => value + 0),
      [0, 0, 0, 0, -9, 10],
    );
  });
}
