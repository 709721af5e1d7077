/** Arrays for single kernels: random ones on the host, and their copies on a GPU. */
import type { CudaAddon } from '../../src/backend/native/cuda_addon.js';
import { CudaArray, CudaMemory, ELEMENT_BYTES } from '../../src/backend/native/cuda_array.js';
import type { ArrayType } from '../../src/backend/native/device_backend.js';

/** The arrays of one layer, which are freed together. */
export class DeviceArrays {
  private readonly memories: CudaMemory[] = [];

  constructor(readonly addon: CudaAddon) {}

  /** An array whose values a kernel is to write. */
  empty(length: number, type: ArrayType = 'float32'): CudaArray {
    const memory = CudaMemory.allocate(this.addon, length * ELEMENT_BYTES[type]);
    this.memories.push(memory);
    return new CudaArray(memory, type, 0, length);
  }

  copyOf(values: Float32Array | Int32Array | Uint8Array): CudaArray {
    const array = this.empty(values.length, typeOf(values));
    array.write(values);
    return array;
  }

  /** Has `write` fill a new array of NaN, and reads it. */
  result(length: number, write: (out: CudaArray) => void): Float32Array {
    const out = this.copyOf(new Float32Array(length).fill(NaN));
    write(out);
    const values = out.read() as Float32Array;
    this.addon.freeMemory(out.memory.handle);
    return values;
  }

  /** Frees what has not been freed. */
  free(): void {
    for (const { handle } of this.memories) this.addon.freeMemory(handle);
  }
}

function typeOf(values: Float32Array | Int32Array | Uint8Array): ArrayType {
  if (values instanceof Float32Array) return 'float32';
  return values instanceof Int32Array ? 'int32' : 'bool';
}

let drawn = 1;

/** Uniform in [−size, size): xorshift, since a real layer has tens of millions. */
export function randomValues(length: number, size = 1): Float32Array {
  let state = Math.imul(drawn++, 0x9e3779b1) | 1;
  const values = new Float32Array(length);
  for (let index = 0; index < length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[index] = (state / 2 ** 31) * size;
  }
  return values;
}
