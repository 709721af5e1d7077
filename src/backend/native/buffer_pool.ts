/**
 * Memory of tensors, reused from step to step: a training step asks for the same sizes in the same order
 * each time, and fresh memory costs a page fault every 4 KiB.
 *
 * Called by `NativeBackend` alone. A buffer's size is its class, powers of two divided in eight, and a cache
 * line for its alignment: at most an eighth and a line are unused. A buffer is counted by its owners, the data that views it: tfjs's own
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

/**
 * A cache line. A tensor begins on one: V8's memory begins 16 bytes after one, and what lies astride two
 * lines is read and written at half the speed by matrix instructions.
 */
const ALIGNMENT = 64;

export class BufferPool {
  /** Owners of each buffer of this pool that is not waiting. Weak: what is never disposed is collected. */
  private readonly owners = new WeakMap<ArrayBufferLike, number>();
  /** Waiting buffers by class, the class used last at the end. */
  private readonly waiting = new Map<number, SharedArrayBuffer[]>();
  private bytesInUse = 0;
  private bytesWaiting = 0;
  private mostBytesInUse = 0;
  /** Of every buffer of this pool. */
  private readonly starts = new WeakMap<ArrayBufferLike, number>();

  /** @param prepare called with each new buffer: the index of the first byte that begins a cache line */
  constructor(private readonly prepare: (bytes: Uint8Array) => number = () => 0) {}

  /** Bytes of buffers that have an owner, and of those that wait for one. */
  get bytes(): { inUse: number; waiting: number } {
    return { inUse: this.bytesInUse, waiting: this.bytesWaiting };
  }

  /**
   * A buffer of at least this many bytes from `startOf` it on, without an owner yet; if none ever comes, it is
   * collected.
   */
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

  /** The index of the byte with which a tensor in this buffer begins. */
  startOf(buffer: SharedArrayBuffer): number {
    return this.starts.get(buffer)!;
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
  if (bytes <= ALIGNMENT) return ALIGNMENT;
  const octave = 2 ** Math.floor(Math.log2(bytes - 1));
  const step = Math.max(ALIGNMENT, octave / 8);
  return Math.ceil(bytes / step) * step;
}
