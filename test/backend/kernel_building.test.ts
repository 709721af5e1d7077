import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import { prepareProcess, useBackend } from '../../src/backend/backend.js';
import { loadDevicePin, tensorFlowIsPrepared } from '../../src/backend/device_pin.js';
import { buildingKernels } from '../../src/backend/kernel_building.js';

const skip = tensorFlowIsPrepared() ? false : 'TensorFlow is not prepared here';

before(async () => {
  if (skip !== false) return;
  prepareProcess();
  await useBackend({ backend: 'tensorflow', device: 'cpu', threads: 1 });
});

const product = (): number[] => [...tf.mul(tf.tensor1d([2, 3]), tf.tensor1d([5, 7])).dataSync()];

test('operations by turns compute what they compute otherwise', { skip }, () => {
  assert.deepEqual(buildingKernels(product), [10, 21]);
});

test('an error inside passes through, and operations go on after it', { skip }, () => {
  assert.throws(
    () => buildingKernels(() => tf.matMul(tf.zeros([2, 3]), tf.zeros([4, 5]))),
    /size-incompatible/,
  );
  assert.deepEqual(product(), [10, 21]);
});

test('taking turns is a yes or a no', { skip }, () => {
  assert.throws(() => loadDevicePin().takeTurns('yes' as unknown as boolean), /takeTurns/);
});
