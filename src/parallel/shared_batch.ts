/** A mini-batch in the memory that all threads share. It has the fields of `Batch` in `src/data/batch.ts`. */
import type { DecodedBytes } from '../backend/capabilities.js';
import type { ImageViews } from '../image_views.js';
import type { BatchShare, SharedBuffers } from './messages.js';

export interface SharedBatch {
  /** uint8 `[count, height, width, 3]`; the buffer may be longer. With `views` the images are of their own size. */
  pixels: SharedArrayBuffer;
  /** What the network sees of each image, which GPUs cut and resize; undefined if `pixels` holds that. */
  views?: ImageViews | undefined;
  /** int32 `[count]`; the buffer may be longer. */
  labels: SharedArrayBuffer;
  /** float32 `[count, 3]`: PCA colour augmentation, for pixels from 0 to 1; undefined if there is none. */
  colours?: SharedArrayBuffer | undefined;
  /** Serial number of the bytes in `pixels`, which differs for all that is decoded; undefined if they are not uploaded early. */
  serial?: number;
  /**
   * What is likely to be computed next, if it is decoded already. GPUs upload it while they compute this batch, so its bytes
   * must not change meanwhile.
   */
  next?: () => DecodedBytes | undefined;
  count: number;
  /** If this is a share of a batch: the place of its first image there, and the batch's images. */
  first?: number;
  of?: number;
  /** If all hosts together have a part of the batch: its images, and the place of the first. */
  whole?: { count: number; first: number };
}

/** The buffers that go beside a command. */
export function buffersOf({
  pixels,
  labels,
  colours,
  views,
  serial,
  next,
}: SharedBatch): SharedBuffers {
  const following = next?.();
  return {
    pixels,
    labels,
    colours,
    views,
    serial,
    next: following && { pixels: following.pixels, serial: following.serial },
  };
}

/** What a command says of a batch: which share of one it is. */
export function batchShareOf({
  count,
  first = 0,
  of = count,
  whole = { count: of, first: 0 },
}: SharedBatch): BatchShare {
  return { count, first, of, whole };
}
