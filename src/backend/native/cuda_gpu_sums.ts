/**
 * Sums over processes that have a GPU each, by NVIDIA's NCCL, where its library is found. They are made in the tensors' memory, on
 * a stream of their own: they follow the kernels that compute the tensors, and kernels that are enqueued once a sum was asked for
 * wait for it.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { GpuSums } from '../capabilities.js';
import type { CudaArray } from './cuda_array.js';
import type { NcclFunctions } from './cuda_nccl.js';
import type { DeviceBackend } from './device_backend.js';

/** Bytes of a group's id. */
const ID_BYTES = 128;

/** @param uuid of the GPU */
export function gpuSumsOf(
  backend: DeviceBackend<CudaArray>,
  addon: NcclFunctions,
  uuid: () => string,
): GpuSums {
  return {
    member: () => {
      try {
        return { uuid: uuid(), nccl: addon.ncclLibrary().version };
      } catch {
        return { uuid: uuid(), nccl: null };
      }
    },
    idBytes: ID_BYTES,
    makeId: (id) => addon.newNcclId(id),
    join: (id, rank, size) => addon.joinNccl(id, rank, size),
    begin: (tensor) => {
      const sum = tf.keep(tf.clone(tensor));
      const number = addon.beginNcclSum(backend.float32(sum)!);
      return () => {
        addon.finishNcclSumFirst(number);
        return sum;
      };
    },
    areDone: (milliseconds) => addon.areNcclSumsDone(milliseconds),
    takeMs: () => addon.takeNcclMs(),
  };
}
