/** What a kernel file of this folder supplies: kernels by tfjs's name for them. */
import type * as tf from '@tensorflow/tfjs';
import type { NativeBackend } from './native_backend.js';

/** A kernel's inputs by name. */
export type Inputs<Name extends string> = Record<Name, tf.TensorInfo>;

export type KernelResult = tf.TensorInfo | tf.TensorInfo[] | undefined;

/**
 * Computes a kernel by the addon. Undefined where the inputs are not a case of ours (another type or
 * layout): then tfjs's own CPU kernel computes it, on the same memory.
 *
 * The type is that of a method, so that a kernel may say which inputs and attributes it gets.
 */
export type Kernel = {
  compute(backend: NativeBackend, inputs: unknown, attributes: unknown): KernelResult;
}['compute'];

export type Kernels = Record<string, Kernel>;
