/**
 * What a backend of this project may offer beyond tfjs's own interface, and how to ask the calling thread's backend
 * for it. Kernels beyond tfjs's set are asked for one by one: `hasKernel` in own_kernels.ts.
 */
import * as tf from '@tensorflow/tfjs-core';

/** Tensors whose values other threads of the process can read where they are. */
export interface SharedTensors {
  /**
   * A float32 tensor of the same values in memory that other threads can share: the same memory if that is
   * shared already, else a copy. The caller disposes it.
   */
  inShareableMemory(tensor: tf.Tensor): tf.Tensor;
  /** The values of a tensor that `inShareableMemory` returned, where they are. */
  sharedValuesOf(tensor: tf.Tensor): Float32Array<SharedArrayBuffer>;
}

export interface Capabilities {
  /** Absent if other threads cannot see the backend's tensors. */
  sharedTensors?: SharedTensors;
  /** Bytes of memory that the backend holds for tensors and for later ones; absent if it keeps none back. */
  pooledBytes?: () => number;
}

/** Capabilities of the calling thread's backend. */
export function capabilities(): Capabilities {
  return tf.backend() as Capabilities;
}
