/** Functions of the GPUs' addon that copy beside all other work. Arrays are the device's unless stated otherwise. */

export interface CopyFunctions {
  /**
   * Page-locks memory for all GPUs, unless a thread of the process has done so already; as long as the calling thread has its
   * GPU. If the driver refuses, copies from and to there only go slower.
   *
   * @returns whether it is new to the calling thread, which must then keep the memory from being collected
   */
  lockMemory(memory: Uint8Array): boolean;

  /** Begins a copy from the host. Both of one type and length, and neither changes until it is done. */
  beginUpload(from: Uint8Array | Float32Array, to: object): void;
  /** Waits for all uploads that the calling thread has begun. */
  finishUploads(): void;
  /** What the thread enqueues from now on waits for the uploads that it has begun; the thread does not. */
  finishUploadsFirst(): void;

  /**
   * Begins a copy to the host, which comes after what the thread has enqueued so far. What it enqueues later does not wait for the
   * copy, so it must not change `from`.
   *
   * @param to of the type and length of `from`
   * @param ready one integer in memory of any thread, which becomes 1 when the values are there; never, if the GPU fails
   */
  beginDownload(from: object, to: Float32Array, ready: Int32Array): void;

  /** The same of values that stay on the GPU: `ready` becomes 1 when what the thread has enqueued so far is done. */
  announceValues(ready: Int32Array): void;

  /** The driver's context of the thread's GPU. */
  context(): bigint;

  /** Fails if the GPU has failed. Waits for nothing. */
  throwIfFailed(): void;
}
