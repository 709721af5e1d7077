/**
 * The test: every image forward only, seen in one or ten views whose probabilities are averaged. Called by
 * the trainer and the library's `evaluate`.
 */
import type { BatchRing } from '../data/batches.js';
import type { Crops } from '../data/views.js';
import { crossEntropyOf, rowOf, softmax } from '../model/probabilities.js';
import type { Coordinator } from '../parallel/coordinator.js';
import type { TestResult } from '../runs/summary.js';

export interface TestOptions {
  classes: string[];
  crops: Crops;
  /** Leaves units out as in training, each batch by masks of its own. */
  dropout: boolean;
  /** Tests a sample of this many images, drawn from the seed. */
  limit: number | undefined;
  /** Ends the wait for a batch at once; the test rejects with its reason. */
  patience?: AbortSignal | undefined;
  /** Called after each batch with the images tested so far and all that will be. False ends the test. */
  goesOn: (images: number, of: number) => boolean;
}

/** @returns null if `goesOn` ended it */
export async function evaluate(
  coordinator: Coordinator,
  ring: BatchRing,
  { classes, crops, dropout, limit, patience, goesOn }: TestOptions,
): Promise<TestResult | null> {
  const scores = new Scores(classes, crops);
  for await (const batch of ring.test(limit, crops, patience)) {
    // The masks are those of a training step; which one, does not matter, but it must be the same again.
    const logits = await coordinator.logitsOf(batch, dropout ? batch.index + 1 : null);
    const labels = new Int32Array(batch.labels, 0, batch.count);
    labels.forEach((label, view) => scores.add(rowOf(logits, view, batch.count), label));
    batch.release();
    if (!goesOn(scores.images, ring.testCount(limit))) return null;
  }
  return scores.result();
}

/** Takes views one after another, all of an image before the next image's. */
export class Scores {
  images = 0;

  private lossSum = 0;
  private top1 = 0;
  private top5 = 0;
  private readonly confusion: number[][];
  /** Of the image under way: sums over its views, and the label's cross-entropy in each. */
  private probabilities: number[] | null = null;
  private losses: number[] = [];

  constructor(
    private readonly classes: string[],
    private readonly crops: Crops,
  ) {
    this.confusion = classes.map(() => classes.map(() => 0));
  }

  /** @param logits `[classes]` of the next view */
  add(logits: Float32Array, label: number): void {
    const probabilities = softmax(logits);
    this.losses.push(crossEntropyOf(logits, label));
    const { probabilities: sum } = this;
    if (sum === null) this.probabilities = probabilities;
    else probabilities.forEach((probability, at) => (sum[at]! += probability));
    if (this.losses.length < this.crops) return;
    this.score(this.probabilities!, label);
    this.probabilities = null;
    this.losses = [];
  }

  /**
   * A label is among the first k if fewer than k other probabilities reach its own; ties and NaN count
   * against it.
   */
  private score(probabilities: number[], label: number): void {
    const own = probabilities[label]!;
    const before = probabilities.filter((probability) => !(probability < own)).length - 1;
    this.images++;
    this.lossSum += meanLoss(this.losses);
    if (before < 1) this.top1++;
    if (before < 5) this.top5++;
    const predicted = before < 1 ? label : mostProbableOther(probabilities, label);
    this.confusion[label]![predicted]!++;
  }

  result(): TestResult {
    const { images, lossSum, top1, top5, crops, classes, confusion } = this;
    const perClass = confusion.map((row, label) => {
      const count = row.reduce((sum, predicted) => sum + predicted, 0);
      return count === 0 ? null : row[label]! / count;
    });
    return {
      ...{ loss: lossSum / images, top1: top1 / images, top5: top5 / images, images },
      ...{ crops, classes, perClass, confusion },
    };
  }
}

/** −log of the mean of exp(−loss): of the averaged probability, even where each is too small for a double. */
function meanLoss(losses: number[]): number {
  const least = Math.min(...losses);
  const sum = losses.reduce((total, loss) => total + Math.exp(least - loss), 0);
  return least - Math.log(sum / losses.length);
}

function mostProbableOther(probabilities: number[], label: number): number {
  let best = label === 0 ? 1 : 0;
  probabilities.forEach((probability, index) => {
    if (index !== label && probability > probabilities[best]!) best = index;
  });
  return best;
}
