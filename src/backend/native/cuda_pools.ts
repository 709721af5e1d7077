/**
 * The memory of a GPU that tensors lie in: one pool for all, and one of its own for each piece of recorded work, which uses the
 * same addresses each time.
 */
import { BufferPool, type Memory } from './buffer_pool.js';
import type { CudaAddon } from './cuda_addon.js';
import { CudaMemory } from './cuda_array.js';

type Pool = BufferPool<CudaMemory>;

export class CudaPools {
  private readonly common: Pool;
  private readonly all: Set<Pool>;
  private readonly poolOf = new WeakMap<CudaMemory, Pool>();
  /** While work is recorded: its pool, and what of the common one it needs for good. */
  private reserved: { pool: Pool; constants: CudaMemory[] } | null = null;

  constructor(private readonly addon: CudaAddon) {
    this.common = new BufferPool(memoryOf(addon));
    this.all = new Set([this.common]);
    addon.whenFull(() => this.common.freeWaiting());
  }

  /** Memory for a kernel's output, with the values of an earlier one. It has no owner yet. */
  take(bytes: number): CudaMemory {
    return this.takeFrom(this.reserved?.pool ?? this.common, bytes);
  }

  /** Memory for values that are written from the host, with one owner. Recorded work keeps it for good. */
  takeForValues(bytes: number): CudaMemory {
    const memory = this.takeFrom(this.common, bytes);
    this.retain(memory);
    if (this.reserved !== null) {
      this.retain(memory);
      this.reserved.constants.push(memory);
    }
    return memory;
  }

  /** Adds an owner. Another thread's memory is ignored, here and in `release`. */
  retain(memory: CudaMemory): void {
    this.poolOf.get(memory)?.retain(memory);
  }

  release(memory: CudaMemory): void {
    this.poolOf.get(memory)?.release(memory);
  }

  /** Number of owners; 0 for another thread's memory. */
  ownersOf(memory: CudaMemory): number {
    return this.poolOf.get(memory)?.ownersOf(memory) ?? 0;
  }

  /** Bytes that have an owner, and bytes that wait for one. */
  get bytes(): { inUse: number; waiting: number } {
    let [inUse, waiting] = [0, 0];
    for (const { bytes } of this.all) {
      inUse += bytes.inUse;
      waiting += bytes.waiting;
    }
    return { inUse, waiting };
  }

  /** Most bytes that had an owner at once in the common pool since `forgetPeak`. */
  get peakBytes(): number {
    return this.common.peakBytes;
  }

  forgetPeak(): void {
    this.common.forgetPeak();
  }

  /** Gives back what waits for later tensors. */
  freeWaiting(): void {
    this.common.freeWaiting();
  }

  /** Has the work that is recorded from now on take memory of its own. */
  startReserving(): void {
    const pool = new BufferPool(memoryOf(this.addon));
    this.all.add(pool);
    this.reserved = { pool, constants: [] };
  }

  /** @returns gives the work's memory back, once no tensor has it */
  stopReserving(): () => void {
    const { pool, constants } = this.reserved!;
    this.reserved = null;
    // The work does without what the common pool has in store.
    this.common.freeWaiting();
    return () => {
      pool.freeWaiting();
      this.all.delete(pool);
      constants.forEach((memory) => this.release(memory));
    };
  }

  private takeFrom(pool: Pool, bytes: number): CudaMemory {
    const memory = pool.take(bytes);
    this.poolOf.set(memory, pool);
    return memory;
  }
}

function memoryOf(addon: CudaAddon): Memory<CudaMemory> {
  return {
    make: (bytes) => CudaMemory.allocate(addon, bytes),
    bytesOf: ({ bytes }) => bytes,
    free: ({ handle }) => addon.freeMemory(handle),
  };
}
