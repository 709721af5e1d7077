/**
 * Tensors of a GPU that other processes' values are added to: through page-locked memory of the host, or where they lie.
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

export function summandsOf(backend: DeviceBackend<CudaArray>, addon: CudaAddon): Summands {
  /** Memory of the host, kept as long as the thread has its GPU. */
  const memories = new Map<string, Float32Array<SharedArrayBuffer>>();
  const memoryOf = (name: string, length: number): Float32Array<SharedArrayBuffer> => {
    const memory = memories.get(name) ?? lockedMemory(addon, length);
    memories.set(name, memory);
    return memory;
  };
  return {
    summandOf: (name, tensor) => {
      const sum = tf.keep(tf.clone(tensor));
      const array = backend.float32(sum)!;
      const values = memoryOf(name, sum.size);
      const ready = newWord();
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
    summandOnGpu: (tensor) => {
      const term = tf.keep(tf.clone(tensor));
      const array = backend.float32(term)!;
      // Other work on this memory is enqueued already, so that it is done when the word says that the values are there.
      const target = backend.allocate(tensor.shape);
      const info = backend.makeTensorInfo(tensor.shape, 'float32', target);
      const sum = tf.keep(tf.engine().makeTensorFromTensorInfo(info));
      const ready = newWord();
      addon.announceValues(ready);
      const [from, to] = [addon.addressOf(array), addon.addressOf(target)];
      return {
        values: { from, to, length: tensor.size, context: addon.context() },
        ready,
        sum: () => {
          term.dispose();
          return sum;
        },
      };
    },
    throwIfFailed: () => addon.throwIfFailed(),
  };
}

function lockedMemory(addon: CudaAddon, length: number): Float32Array<SharedArrayBuffer> {
  const buffer = new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT);
  addon.lockMemory(new Uint8Array(buffer));
  return new Float32Array(buffer);
}

function newWord(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
}
