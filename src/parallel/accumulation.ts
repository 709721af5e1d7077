/** A step whose batch is computed in parts, one after another, so that a large batch fits a small device. */
import type { ComputeReply, StepTiming } from './messages.js';
import { batchShareOf } from './shared_batch.js';
import type { SharedBatch } from './shared_batch.js';
import { NotFiniteError } from './step_outcome.js';

/** A whole batch, or its parts with their places in it, at least one. */
export type PartedBatch = SharedBatch | AsyncIterable<SharedBatch>;

/** What the workers have computed of a batch, or of a part of one. */
export interface Computed {
  /** Of this replica, one per worker. */
  replies: Pick<ComputeReply, 'timing' | 'peakBytes' | 'updateMs'>[];
  /** Of all replicas. */
  loss: number;
  /** Images of all replicas whose largest logit is the label's. */
  correct: number;
}

/**
 * Computes a batch. It is done with each part before it asks for the next one.
 *
 * @param compute adds a part's gradients to those that the workers keep if `accumulates`, else replaces them
 * @returns what was computed of the whole batch, with the number of its images; the first error if a part has one, which
 *   ends the step
 */
export async function computeInParts(
  batch: PartedBatch,
  compute: (part: SharedBatch, accumulates: boolean) => Promise<Computed | NotFiniteError>,
): Promise<(Computed & { images: number }) | NotFiniteError> {
  let sums: Computed | undefined;
  let images = 0;
  for await (const part of 'pixels' in batch ? [batch] : batch) {
    images = batchShareOf(part).of;
    const computed = await compute(part, sums !== undefined);
    if (computed instanceof NotFiniteError) return computed;
    sums = sums === undefined ? computed : added(sums, computed);
  }
  return { ...sums!, images };
}

/** The fields of a timing that add up; of the others the last part's count. */
const SUMMED = [
  'forwardMs',
  'backwardMs',
  'exchangeCopyMs',
  'exchangeWaitMs',
  'exchangeBytes',
  'communicationMs',
  'exposedMs',
] as const satisfies (keyof StepTiming)[];

/** Each part's loss is its term of the mean over the batch. */
function added(one: Computed, other: Computed): Computed {
  const replies = one.replies.map(({ timing, peakBytes }, worker) => {
    const next = other.replies[worker]!;
    const sums = { ...next.timing };
    for (const part of SUMMED) sums[part] += timing[part];
    const { updateMs } = next;
    return {
      timing: sums,
      peakBytes: Math.max(peakBytes, next.peakBytes),
      updateMs,
    };
  });
  return { replies, loss: one.loss + other.loss, correct: one.correct + other.correct };
}
