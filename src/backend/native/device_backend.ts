/**
 * What the kernels of this folder need of the tfjs backend that they compute on, whatever its device. Tensors' values are
 * arrays in the device's memory: typed arrays on the CPU.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Precision } from '../numerics.js';
import type { DeviceKernels } from './addon.js';

/** Tensor types whose values are in one array of the device. */
export type ArrayType = 'float32' | 'int32' | 'bool';

export interface DeviceBackend<DeviceArray> {
  /** Functions over the device's arrays. */
  readonly addon: DeviceKernels<DeviceArray>;
  /** Type of the operands of convolutions and matrix products. */
  readonly precision: Precision;

  /** Memory for a kernel's output (default float32). The kernel must write every element, then pass it to `makeTensorInfo`. */
  allocate(shape: readonly number[], dtype?: ArrayType): DeviceArray;

  /** A tensor's values in place; undefined unless they are an array of the tensor's type. */
  arrayOf(tensor: tf.TensorInfo): DeviceArray | undefined;

  /** `arrayOf` a float32 tensor, else undefined. */
  float32(tensor: tf.TensorInfo): DeviceArray | undefined;

  /** A view of the elements from `start` up to `end`. */
  slice(array: DeviceArray, start: number, end: number): DeviceArray;

  /** Calls `use` with values of the CPU's memory in the device's; they are there until it returns. */
  withUploaded(
    values: readonly (Float32Array | Uint8Array)[],
    use: (arrays: readonly DeviceArray[]) => void,
  ): void;

  makeTensorInfo(shape: number[], dtype: tf.DataType, array: DeviceArray): tf.TensorInfo;

  /** Whether no other tensor has this memory, so that a kernel may write to its input. */
  isUnshared(tensor: tf.TensorInfo): boolean;

  incRef(dataId: object): void;
}
