/** Arrays in a GPU's memory. */
import type { CudaAddon, DeviceMemory } from './cuda_addon.js';
import type { ArrayType } from './device_backend.js';

/** Bytes of an element. */
export const ELEMENT_BYTES: Readonly<Record<ArrayType, number>> = { float32: 4, int32: 4, bool: 1 };

/** A piece of the device's memory, in which arrays lie. */
export class CudaMemory {
  private constructor(
    readonly addon: CudaAddon,
    readonly bytes: number,
    readonly handle: DeviceMemory,
  ) {}

  static allocate(addon: CudaAddon, bytes: number): CudaMemory {
    return new CudaMemory(addon, bytes, addon.allocateMemory(bytes));
  }

  /** Memory that another thread of the process has allocated, and keeps. */
  static at(addon: CudaAddon, address: bigint, bytes: number): CudaMemory {
    return new CudaMemory(addon, bytes, addon.foreignMemory(address, bytes));
  }
}

export class CudaArray {
  /** @param start bytes from the beginning of the memory */
  constructor(
    readonly memory: CudaMemory,
    readonly type: ArrayType,
    private readonly start: number,
    readonly length: number,
  ) {
    memory.addon.describeArray(this, memory.handle, type, start, length);
  }

  /** The elements from `first` up to `end`, in place. */
  slice(first: number, end: number): CudaArray {
    const start = this.start + first * ELEMENT_BYTES[this.type];
    return new CudaArray(this.memory, this.type, start, end - first);
  }

  /** A copy of the values; waits for them. */
  read(): Float32Array | Int32Array | Uint8Array {
    const values =
      this.type === 'float32'
        ? new Float32Array(this.length)
        : this.type === 'int32'
          ? new Int32Array(this.length)
          : new Uint8Array(this.length);
    this.memory.addon.readArray(this, values);
    return values;
  }

  write(values: Float32Array | Int32Array | Uint8Array): void {
    this.memory.addon.writeArray(values, this);
  }
}
