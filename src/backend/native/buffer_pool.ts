/**
 * Memory of tensors, reused from step to step: a training step asks for the same sizes in the same order
 * each time, and fresh memory costs a page fault every 4 KiB.
 *
 * Called by `NativeBackend` alone. A buffer's size is its class: powers of two divided in eight, so that
 * at most an eighth is unused. A buffer is counted by its owners, the data that views it: tfjs's own
 * CPU kernels let several share one (`slice` returns a view, `complex` keeps its parts' values), and it
 * comes back when the last is gone.
 *
 * Bound: the buffers in use and those waiting together never exceed `SLACK` times the most that was in
 * use at once; beyond it the class unused for longest gives up its buffers first. What a buffer held
 * before is still in it. The memory is shareable: other threads may be given a buffer, to read it where
 * it lies.
 */

/** A step needs more than its peak, as classes do not lend to one another. */
const SLACK = 1.5;

/** A cache line; also what vector instructions like their operands aligned to. */
const SMALLEST_BYTES = 64;

/** From here on large pages are worth asking for: two of x86's and of most others'. */
const LARGE_BYTES = 4 * 1024 * 1024;

export class BufferPool {
  /** Owners of each buffer of this pool that is not waiting. Weak: what is never disposed is collected. */
  private readonly owners = new WeakMap<ArrayBufferLike, number>();
  /** Waiting buffers by class, the class used last at the end. */
  private readonly waiting = new Map<number, SharedArrayBuffer[]>();
  private bytesInUse = 0;
  private bytesWaiting = 0;
  private mostBytesInUse = 0;

  /** @param prepareLarge called with each new buffer that spans several large pages */
  constructor(private readonly prepareLarge: (bytes: Uint8Array) => void = () => {}) {}

  /** Bytes of buffers that have an owner, and of those that wait for one. */
  get bytes(): { inUse: number; waiting: number } {
    return { inUse: this.bytesInUse, waiting: this.bytesWaiting };
  }

  /** A buffer of at least this many bytes, without an owner yet; if none ever comes, it is collected. */
  take(bytes: number): SharedArrayBuffer {
    const size = classOf(bytes);
    const buffers = this.touched(size);
    let buffer = buffers.pop();
    if (buffer === undefined) {
      this.makeRoom(size);
      buffer = new SharedArrayBuffer(size);
      if (size >= LARGE_BYTES) this.prepareLarge(new Uint8Array(buffer));
    } else {
      this.bytesWaiting -= size;
    }
    this.owners.set(buffer, 0);
    return buffer;
  }

  /** 0 for other memory than this pool's. */
  ownersOf(buffer: ArrayBufferLike): number {
    return this.owners.get(buffer) ?? 0;
  }

  /** Counts one more owner; other memory than this pool's is left alone, here and in `release`. */
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

  /** Lets waiting buffers go until one of `size` more bytes is within the bound. */
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

  /** The waiting buffers of a class, which is now the one used last. */
  private touched(size: number): SharedArrayBuffer[] {
    const buffers = this.waiting.get(size) ?? [];
    this.waiting.delete(size);
    this.waiting.set(size, buffers);
    return buffers;
  }
}

/** The least class that holds `bytes`. */
function classOf(bytes: number): number {
  if (bytes <= SMALLEST_BYTES) return SMALLEST_BYTES;
  const octave = 2 ** Math.floor(Math.log2(bytes - 1));
  const step = Math.max(SMALLEST_BYTES, octave / 8);
  return Math.ceil(bytes / step) * step;
}
