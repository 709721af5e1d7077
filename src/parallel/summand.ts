/**
 * Gradients in the host's memory, where MPI sums them over the processes: in place if the backend computes in memory that
 * threads share, by copies beside its work on a GPU, by a copy that the thread makes on any other backend. An MPI that reads the
 * memory of GPUs sums them there.
 */
import * as tf from '@tensorflow/tfjs-core';
import { capabilities } from '../backend/capabilities.js';
import type { GpuValues, SharedTensors, Summand } from '../backend/capabilities.js';

/**
 * The values of a tensor for a sum.
 *
 * @param name of the sum; one of this name at a time
 * @param tensor float32; nobody else may read it from now on, but its owner may dispose it
 */
export function summandOf(name: string, tensor: tf.Tensor): Summand {
  const { summands, sharedTensors } = capabilities();
  if (summands !== undefined) return summands.summandOf(name, tensor);
  return sharedTensors === undefined ? copyOf(tensor) : inPlace(sharedTensors, tensor);
}

/** The same of a tensor of a GPU, for an MPI that reads its memory. */
export function summandOnGpu(tensor: tf.Tensor): Summand<GpuValues> {
  return capabilities().summands!.summandOnGpu(tensor);
}

/** @throws what has failed on the device whose values are awaited */
export function throwIfDeviceFailed(): void {
  capabilities().summands?.throwIfFailed();
}

function inPlace(shared: SharedTensors, tensor: tf.Tensor): Summand {
  const sum = tf.keep(shared.inShareableMemory(tensor));
  return { values: shared.sharedValuesOf(sum), ready: null, sum: () => sum };
}

function copyOf(tensor: tf.Tensor): Summand {
  const { shape } = tensor;
  const bytes = tensor.size * Float32Array.BYTES_PER_ELEMENT;
  const values = new Float32Array(new SharedArrayBuffer(bytes));
  values.set(tensor.dataSync<'float32'>());
  return { values, ready: null, sum: () => tf.tensor(values, shape, 'float32') };
}
