/**
 * Tensors of a GPU that other processes' values are added to, through page-locked memory of the host.
 *
 * A copy to the host follows the kernel that computes the tensor, on a stream of its own, and ends with a word that says that the
 * values are there. The sum returns on the stream of uploads, and the kernels that are enqueued next wait for it. The thread
 * itself waits for neither.
 *
 * Why no memory is overwritten that somebody still reads:
 * - of the host: a copy into it follows all that was enqueued before, and so the upload of the sum before;
 * - of the tensor: it is kept until the sum returns. The sum exists once the copy from there is done.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Summands } from '../capabilities.js';
import type { CudaAddon } from './cuda_addon.js';
import type { CudaArray } from './cuda_array.js';
import type { DeviceBackend } from './device_backend.js';

/** Memory of the host, kept as long as the thread has its GPU. */
interface HostMemory {
  values: Float32Array<SharedArrayBuffer>;
  ready: Int32Array<SharedArrayBuffer>;
}

export function summandsOf(backend: DeviceBackend<CudaArray>, addon: CudaAddon): Summands {
  const memories = new Map<string, HostMemory>();
  const memoryOf = (name: string, length: number): HostMemory => {
    const memory = memories.get(name) ?? lockedMemory(addon, length);
    memories.set(name, memory);
    return memory;
  };
  return {
    summandOf: (name, tensor) => {
      const sum = tf.keep(tf.clone(tensor));
      const array = backend.float32(sum)!;
      const { values, ready } = memoryOf(name, sum.size);
      Atomics.store(ready, 0, 0);
      addon.beginDownload(array, values, ready);
      return {
        values,
        ready,
        sum: () => {
          addon.beginUpload(values, array);
          addon.finishUploadsFirst();
          return sum;
        },
      };
    },
    throwIfFailed: () => addon.throwIfFailed(),
  };
}

function lockedMemory(addon: CudaAddon, length: number): HostMemory {
  const buffer = new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT);
  addon.lockMemory(new Uint8Array(buffer));
  const ready = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  return { values: new Float32Array(buffer), ready };
}
