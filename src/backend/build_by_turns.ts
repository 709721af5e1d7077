/**
 * Keeps the worker threads of a process from building TensorFlow's oneDNN kernels at the same time, which is not
 * safe: `takeTurns` in native/device_pin.cc says what was seen.
 *
 * The first execution of an operation with given attributes and shapes builds its kernel. Only that execution
 * waits for those of other threads.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { DevicePin } from './device_pin.js';
import type { OperationAttribute, TensorFlowBackend } from './tensorflow_backend.js';

/** Wraps both ways in which `backend` executes operations, for the thread that it belongs to. */
export function buildByTurns(
  backend: Pick<TensorFlowBackend, 'executeSingleOutput' | 'executeMultipleOutputs'>,
  devicePin: Pick<DevicePin, 'takeTurns'>,
): void {
  const built = new Set<string>();
  const guarded = <Result>(
    operation: string,
    attributes: OperationAttribute[],
    inputs: tf.TensorInfo[],
    execute: () => Result,
  ): Result => {
    const kernel = JSON.stringify([
      operation,
      attributes.map(({ name, value }) => [name, value]),
      inputs.map(({ shape, dtype }) => [shape, dtype]),
    ]);
    if (built.has(kernel)) return execute();
    devicePin.takeTurns(true);
    try {
      const result = execute();
      built.add(kernel);
      return result;
    } finally {
      devicePin.takeTurns(false);
    }
  };
  const executeSingle = backend.executeSingleOutput.bind(backend);
  const executeMultiple = backend.executeMultipleOutputs.bind(backend);
  backend.executeSingleOutput = (operation, attributes, inputs) =>
    guarded(operation, attributes, inputs, () => executeSingle(operation, attributes, inputs));
  backend.executeMultipleOutputs = (operation, attributes, inputs, outputs) =>
    guarded(operation, attributes, inputs, () =>
      executeMultiple(operation, attributes, inputs, outputs),
    );
}
