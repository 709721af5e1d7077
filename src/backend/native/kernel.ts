/** The form of the kernels in this folder: by tfjs's names, each with a fallback to tfjs's CPU kernel. */
import type * as tf from '@tensorflow/tfjs-core';
import type { DeviceBackend } from './device_backend.js';

/** A kernel's inputs by name. */
export type Inputs<Name extends string> = Record<Name, tf.TensorInfo>;

export type KernelResult = tf.TensorInfo | tf.TensorInfo[] | undefined;

/**
 * Computes a kernel with the addon. It returns undefined if it does not support the inputs' type or layout; then tfjs's
 * own CPU kernel computes the result, on the same memory.
 *
 * This is a method's type because methods are bivariant: each kernel can declare its own inputs and attributes.
 */
export type Kernel = {
  compute<DeviceArray>(
    backend: DeviceBackend<DeviceArray>,
    inputs: unknown,
    attributes: unknown,
  ): KernelResult;
}['compute'];

export type Kernels = Record<string, Kernel>;
