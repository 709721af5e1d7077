/**
 * Reuses the memory of tensors from step to step. A training step asks for the same sizes in the same order each
 * time, and fresh memory costs a page fault every 4 KiB.
 *
 * Buffers come in size classes, eight to each power of two, plus a cache line for alignment: at most an eighth and a
 * line of a buffer are unused. The owners of a buffer are the tensors' data that view it. There can be several, because
 * tfjs's own CPU kernels share memory (`slice` returns a view, `complex` keeps its parts' values). The buffer returns
 * to the pool when the last owner is gone.
 *
 * Bound: buffers in use and waiting buffers together never exceed `SLACK` times the most that was in use at once.
 * Beyond it, the class that was unused for longest gives up its buffers first. A buffer keeps its old contents. The
 * memory can be shared, so other threads can read a buffer in place.
 */

/** A step needs more than its peak, because size classes do not lend to one another. */
const SLACK = 1.5;

/**
 * Bytes of a cache line. A tensor begins on one: V8's memory begins 16 bytes after one, and matrix instructions read
 * and write vectors that straddle two lines at half the speed.
 */
const ALIGNMENT = 64;

export class BufferPool {
  /** Number of owners of each buffer that is not waiting. Weak, so that a buffer that is never released is collected. */
  private readonly owners = new WeakMap<ArrayBufferLike, number>();
  /** Waiting buffers by class, the most recently used class last. */
  private readonly waiting = new Map<number, SharedArrayBuffer[]>();
  private bytesInUse = 0;
  private bytesWaiting = 0;
  private mostBytesInUse = 0;
  /** Where tensors begin in each buffer of this pool. */
  private readonly starts = new WeakMap<ArrayBufferLike, number>();

  /** @param prepare is called with each new buffer and returns the index of its first byte on a cache line */
  constructor(private readonly prepare: (bytes: Uint8Array) => number = () => 0) {}

  /** Bytes of the buffers that have an owner, and of the waiting ones. */
  get bytes(): { inUse: number; waiting: number } {
    return { inUse: this.bytesInUse, waiting: this.bytesWaiting };
  }

  /** A buffer with at least this many bytes from its `startOf` on. It has no owner yet; if none comes, it is collected. */
  take(bytes: number): SharedArrayBuffer {
    const size = classOf(bytes) + ALIGNMENT;
    const buffers = this.touched(size);
    let buffer = buffers.pop();
    if (buffer === undefined) {
      this.makeRoom(size);
      buffer = new SharedArrayBuffer(size);
      this.starts.set(buffer, this.prepare(new Uint8Array(buffer)));
    } else {
      this.bytesWaiting -= size;
    }
    this.owners.set(buffer, 0);
    return buffer;
  }

  /** The index of the first byte of a tensor in this buffer. */
  startOf(buffer: SharedArrayBuffer): number {
    return this.starts.get(buffer)!;
  }

  /** Number of owners; 0 for memory that is not this pool's. */
  ownersOf(buffer: ArrayBufferLike): number {
    return this.owners.get(buffer) ?? 0;
  }

  /** Adds an owner. Memory that is not this pool's is ignored, here and in `release`. */
  retain(buffer: ArrayBufferLike): void {
    const owners = this.owners.get(buffer);
    if (owners === undefined) return;
    this.owners.set(buffer, owners + 1);
    if (owners > 0) return;
    this.bytesInUse += buffer.byteLength;
    this.mostBytesInUse = Math.max(this.mostBytesInUse, this.bytesInUse);
  }

  release(buffer: ArrayBufferLike): void {
    const owners = this.owners.get(buffer);
    if (owners === undefined) return;
    if (owners > 1) {
      this.owners.set(buffer, owners - 1);
      return;
    }
    this.owners.delete(buffer);
    this.bytesInUse -= buffer.byteLength;
    this.bytesWaiting += buffer.byteLength;
    this.touched(buffer.byteLength).push(buffer as SharedArrayBuffer);
  }

  /** Drops waiting buffers until a new one of `size` bytes stays within the bound. */
  private makeRoom(size: number): void {
    const needed = this.bytesInUse + size;
    const bound = SLACK * Math.max(this.mostBytesInUse, needed);
    for (const [length, buffers] of this.waiting) {
      while (buffers.length > 0 && needed + this.bytesWaiting > bound) {
        buffers.pop();
        this.bytesWaiting -= length;
      }
      if (buffers.length > 0) return;
      this.waiting.delete(length);
    }
  }

  /** The waiting buffers of a class, which becomes the most recently used. */
  private touched(size: number): SharedArrayBuffer[] {
    const buffers = this.waiting.get(size) ?? [];
    this.waiting.delete(size);
    this.waiting.set(size, buffers);
    return buffers;
  }
}

/** Size of the smallest class that holds `bytes`. */
function classOf(bytes: number): number {
  if (bytes <= ALIGNMENT) return ALIGNMENT;
  const octave = 2 ** Math.floor(Math.log2(bytes - 1));
  const step = Math.max(ALIGNMENT, octave / 8);
  return Math.ceil(bytes / step) * step;
}
