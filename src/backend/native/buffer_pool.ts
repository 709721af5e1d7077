/**
 * Reuses the memory of tensors from step to step. A training step asks for the same sizes in the same order each
 * time, and fresh memory costs a page fault every 4 KiB.
 *
 * Buffers come in size classes, eight to each power of two: at most an eighth of a large buffer is unused. The owners of a buffer are the tensors' data that view it. There can be several, because
 * tfjs's own CPU kernels share memory (`slice` returns a view, `complex` keeps its parts' values). The buffer returns
 * to the pool when the last owner is gone.
 *
 * Bound: buffers in use and waiting buffers together never exceed `SLACK` times the most that was in use at once.
 * Beyond it, the class that was unused for longest gives up its buffers first. A buffer keeps its old contents.
 */

/** The memory that a pool's buffers are of. */
export interface Memory<Buffer extends object> {
  /** A new buffer of so many bytes, a multiple of 64. */
  make(bytes: number): Buffer;
  bytesOf(buffer: Buffer): number;
  /** Gives a buffer back that the pool will not use again (default: it is left to the garbage collector). */
  free?(buffer: Buffer): void;
}

/** A step needs more than its peak, because size classes do not lend to one another. */
const SLACK = 1.5;

/** Bytes of a cache line, the unit of sizes. */
export const CACHE_LINE = 64;

export class BufferPool<Buffer extends object> {
  /** Number of owners of each buffer that is not waiting. Weak, so that a buffer that is never released is collected. */
  private readonly owners = new WeakMap<object, number>();
  /** Waiting buffers by class, the most recently used class last. */
  private readonly waiting = new Map<number, Buffer[]>();
  private bytesInUse = 0;
  private bytesWaiting = 0;
  private mostBytesInUse = 0;
  private peak = 0;

  constructor(private readonly memory: Memory<Buffer>) {}

  /** Bytes of the buffers that have an owner, and of the waiting ones. */
  get bytes(): { inUse: number; waiting: number } {
    return { inUse: this.bytesInUse, waiting: this.bytesWaiting };
  }

  /** Most bytes that had an owner at once since `forgetPeak`. */
  get peakBytes(): number {
    return this.peak;
  }

  forgetPeak(): void {
    this.peak = this.bytesInUse;
  }

  /** A buffer with at least this many bytes. It has no owner yet; if none comes, it is collected. */
  take(bytes: number): Buffer {
    const size = classOf(bytes);
    let buffer = this.touched(size).pop();
    if (buffer === undefined) {
      this.makeRoom(size);
      buffer = this.memory.make(size);
    } else {
      this.bytesWaiting -= size;
    }
    this.owners.set(buffer, 0);
    return buffer;
  }

  /** Gives all waiting buffers back. */
  freeWaiting(): void {
    for (const buffers of this.waiting.values()) for (const one of buffers) this.memory.free?.(one);
    this.waiting.clear();
    this.bytesWaiting = 0;
  }

  /** Number of owners; 0 for memory that is not this pool's. */
  ownersOf(buffer: object): number {
    return this.owners.get(buffer) ?? 0;
  }

  /** Adds an owner. Memory that is not this pool's is ignored, here and in `release`. */
  retain(buffer: object): void {
    const owners = this.owners.get(buffer);
    if (owners === undefined) return;
    this.owners.set(buffer, owners + 1);
    if (owners > 0) return;
    this.bytesInUse += this.memory.bytesOf(buffer as Buffer);
    this.mostBytesInUse = Math.max(this.mostBytesInUse, this.bytesInUse);
    this.peak = Math.max(this.peak, this.bytesInUse);
  }

  release(buffer: object): void {
    const owners = this.owners.get(buffer);
    if (owners === undefined) return;
    if (owners > 1) {
      this.owners.set(buffer, owners - 1);
      return;
    }
    this.owners.delete(buffer);
    const size = this.memory.bytesOf(buffer as Buffer);
    this.bytesInUse -= size;
    this.bytesWaiting += size;
    this.touched(size).push(buffer as Buffer);
  }

  /** Drops waiting buffers until a new one of `size` bytes stays within the bound. */
  private makeRoom(size: number): void {
    const needed = this.bytesInUse + size;
    const bound = SLACK * Math.max(this.mostBytesInUse, needed);
    for (const [length, buffers] of this.waiting) {
      while (buffers.length > 0 && needed + this.bytesWaiting > bound) {
        this.memory.free?.(buffers.pop()!);
        this.bytesWaiting -= length;
      }
      if (buffers.length > 0) return;
      this.waiting.delete(length);
    }
  }

  /** The waiting buffers of a class, which becomes the most recently used. */
  private touched(size: number): Buffer[] {
    const buffers = this.waiting.get(size) ?? [];
    this.waiting.delete(size);
    this.waiting.set(size, buffers);
    return buffers;
  }
}

/** Size of the smallest class that holds `bytes`. */
function classOf(bytes: number): number {
  if (bytes <= CACHE_LINE) return CACHE_LINE;
  const octave = 2 ** Math.floor(Math.log2(bytes - 1));
  const step = Math.max(CACHE_LINE, octave / 8);
  return Math.ceil(bytes / step) * step;
}
