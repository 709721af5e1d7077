/** A decoded batch, and what the batch ring decodes in order: an epoch or a test. */
import type { BatchBuffers } from './decoder.js';
import type { Split } from './split.js';
import type { Crops } from './views.js';

/** A batch in buffers that may be longer than it; the rest of them has no meaning. */
export interface Batch extends BatchBuffers {
  /** Views in this share of the batch. Each shows another example, except in a test of ten crops. */
  count: number;
  /** The place of the first of them in the batch, and the views of the batch. */
  first: number;
  of: number;
  /** Number of the batch in its epoch or test, from 0. */
  index: number;
  /** Number among all batches that the process has decoded. */
  serial: number;
  /** The batch after this one in the epoch or test, if it is decoded; undefined if not, and if it is taken or dropped. */
  next(): Batch | undefined;
  /** Returns the buffers to the ring, which fills them with a later batch. */
  release(): void;
}

/** A batch that is being decoded or waits for the consumer. */
export interface Decoding {
  result: Promise<Batch>;
  /** Once it is decoded. */
  batch?: Batch;
}

/** One way through a split, in order. */
export interface Pass {
  split: Split;
  /** The views in order, numbered as in `DecodeTask`. */
  order: Uint32Array;
  crops: Crops;
  /** The epoch of a training pass; null for a test. */
  epoch: number | null;
  /** One past the last batch. */
  endBatch: number;
  /** The next batch to start decoding. */
  next: number;
  /** In order. */
  decoding: Decoding[];
}
