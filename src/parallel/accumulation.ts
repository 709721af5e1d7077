/** A step whose batch is computed in parts, one after another, so that a large batch fits a small device. */
import type { ComputeReply } from './messages.js';
import type { SharedBatch } from './shared_batch.js';
import { NotFiniteError } from './step_outcome.js';

/** A whole batch, or its parts with their places in it, at least one. */
export type PartedBatch = SharedBatch | AsyncIterable<SharedBatch>;

/**
 * Computes a batch. It is done with each part before it asks for the next one.
 *
 * @param compute adds a part's gradients to those that the workers keep if `accumulates`, else replaces them
 * @returns one reply per worker, for the whole batch of `images`; the first error if a part has one, which ends the step
 */
export async function computeInParts(
  batch: PartedBatch,
  compute: (part: SharedBatch, accumulates: boolean) => Promise<ComputeReply[] | NotFiniteError>,
): Promise<{ replies: ComputeReply[]; images: number } | NotFiniteError> {
  let sums: ComputeReply[] | undefined;
  let images = 0;
  for await (const part of 'pixels' in batch ? [batch] : batch) {
    images += part.count;
    const replies = await compute(part, sums !== undefined);
    if (replies instanceof NotFiniteError) return replies;
    sums = sums?.map((sum, worker) => added(sum, replies[worker]!)) ?? replies;
  }
  return { replies: sums!, images };
}

/** Each part's loss is its term of the mean over the batch. */
function added(one: ComputeReply, other: ComputeReply): ComputeReply {
  const timing = { ...one.timing };
  for (const part of Object.keys(timing) as (keyof typeof timing)[]) {
    timing[part] += other.timing[part];
  }
  return {
    loss: one.loss + other.loss,
    correct: one.correct + other.correct,
    notFinite: null,
    timing,
    peakBytes: Math.max(one.peakBytes, other.peakBytes),
  };
}
