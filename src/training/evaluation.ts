/** The test: every image once, forward only, dropout off. Called by the trainer and the library's `evaluate`. */
import type { BatchRing } from '../data/batches.js';
import type { Coordinator } from '../parallel/coordinator.js';

/** Means over the images of a test. */
export interface TestResult {
  /** Mean cross-entropy, nats. */
  loss: number;
  /** Share of the images whose label has the largest logit, and is among the five largest. */
  top1: number;
  top5: number;
  images: number;
}

/**
 * @param limit tests only the first so many images
 * @param afterBatch called with the images tested so far and all that will be
 */
export async function evaluate(
  coordinator: Coordinator,
  ring: BatchRing,
  limit: number | undefined,
  afterBatch: (images: number, of: number) => void,
): Promise<TestResult> {
  const total = { loss: 0, top1: 0, top5: 0, images: 0 };
  for await (const batch of ring.test(limit)) {
    const { lossSum, top1, top5 } = await coordinator.evaluate(batch);
    total.loss += lossSum;
    total.top1 += top1;
    total.top5 += top5;
    total.images += batch.count;
    batch.release();
    afterBatch(total.images, ring.testCount(limit));
  }
  const { loss, top1, top5, images } = total;
  return { loss: loss / images, top1: top1 / images, top5: top5 / images, images };
}
