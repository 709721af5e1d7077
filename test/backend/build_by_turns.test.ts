import assert from 'node:assert/strict';
import { test } from 'node:test';
import type * as tf from '@tensorflow/tfjs-core';
import { buildByTurns } from '../../src/backend/build_by_turns.js';
import type { TensorFlowBackend } from '../../src/backend/tensorflow_backend.js';
import { loadDevicePin, tensorFlowIsPrepared } from '../../src/backend/device_pin.js';

/** A backend whose operations note whether this thread waits for others while they execute. */
function recordingBackend() {
  let waits = false;
  const executions: boolean[] = [];
  const execute = (operation: string): tf.Tensor => {
    executions.push(waits);
    if (operation === 'Failing') throw new Error('it fails');
    return {} as tf.Tensor;
  };
  const backend: Pick<TensorFlowBackend, 'executeSingleOutput' | 'executeMultipleOutputs'> = {
    executeSingleOutput: (operation) => execute(operation),
    executeMultipleOutputs: (operation) => [execute(operation)],
  };
  buildByTurns(backend, { takeTurns: (on) => (waits = on) });
  return { backend, executions, isWaiting: () => waits };
}

const attributes = (pad: string) => [{ name: 'padding', type: 1, value: pad }];
const input = (shape: number[]) => [{ dataId: {}, shape, dtype: 'float32' } as tf.TensorInfo];

test('an operation waits for other threads at its first execution only', () => {
  const { backend, executions } = recordingBackend();
  for (let round = 0; round < 3; round++) {
    backend.executeSingleOutput('Relu', attributes('SAME'), input([2, 3]));
  }
  assert.deepEqual(executions, [true, false, false]);
});

test('another shape and other attributes are first executions of their own', () => {
  const { backend, executions } = recordingBackend();
  backend.executeSingleOutput('Relu', attributes('SAME'), input([2, 3]));
  backend.executeMultipleOutputs('Relu', attributes('SAME'), input([2, 4]), 1);
  backend.executeMultipleOutputs('Relu', attributes('VALID'), input([2, 4]), 1);
  assert.deepEqual(executions, [true, true, true]);
});

test('an execution that fails lets other threads go on', () => {
  const { backend, isWaiting } = recordingBackend();
  assert.throws(() => backend.executeSingleOutput('Failing', [], input([1])), /it fails/);
  assert.equal(isWaiting(), false);
});

const skip = tensorFlowIsPrepared() ? false : 'TensorFlow is not prepared here';

test('taking turns is a yes or a no', { skip }, () => {
  assert.throws(() => loadDevicePin().takeTurns('yes' as unknown as boolean), /takeTurns/);
});
