/** A mini-batch in the memory that all threads share. It has the fields of `Batch` in `src/data/batches.ts`. */

export interface SharedBatch {
  /** uint8 `[count, height, width, 3]`; the buffer may be longer. */
  pixels: SharedArrayBuffer;
  /** int32 `[count]`; the buffer may be longer. */
  labels: SharedArrayBuffer;
  /** float32 `[count, 3]`: PCA colour augmentation, for pixels from 0 to 1; undefined if there is none. */
  colours?: SharedArrayBuffer | undefined;
  count: number;
}

/** The buffers that go beside a command; the count is part of the command. */
export function buffersOf({ pixels, labels, colours }: SharedBatch): Omit<SharedBatch, 'count'> {
  return { pixels, labels, colours };
}
