/** The test: each image forward only, seen in one or ten crops whose probabilities are averaged. */
import type { Batch, BatchRing } from '../data/batches.js';
import type { Crops } from '../data/views.js';
import { crossEntropyOf, rowOf, softmax } from '../model/probabilities.js';
import type { Coordinator } from '../parallel/coordinator.js';
import type { World } from '../parallel/world.js';
import type { TestResult } from '../runs/summary.js';

/** What a network says of an image, or several networks on average. */
export interface TestedImage {
  label: number;
  /** float64 [classes], averaged over the crops. */
  probabilities: number[];
  /** Cross-entropy of the label's averaged probability, nats. */
  loss: number;
}

export interface TestOptions {
  classes: string[];
  crops: Crops;
  /** Keep dropout active, with other masks for each batch. */
  dropout: boolean;
  /** Test a sample of this many images, drawn from the seed; undefined for all. */
  limit: number | undefined;
  /** Ends the wait for a batch at once, with its reason as the error. */
  patience?: AbortSignal | undefined;
  /** Hears each image, in the ring's order. */
  onImage?: (image: TestedImage) => void;
  /** Hears after each batch how many images are tested, and of how many. Returns whether to go on. */
  goesOn: (images: number, of: number) => boolean;
}

/**
 * Tests the network on the ring's test images.
 *
 * @returns null if `goesOn` has ended the test
 * @throws WorkerFailure, a UserError of the data, and the reason of `patience`
 */
export async function runTest(
  coordinator: Coordinator,
  ring: BatchRing,
  { classes, crops, dropout, limit, patience, onImage, goesOn }: TestOptions,
): Promise<TestResult | null> {
  const scores = new Scores(classes, crops, onImage);
  for await (const batch of ring.test(limit, crops, patience)) {
    // The dropout masks of some training step: any, but the same one in the next test.
    const step = dropout ? batch.index + 1 : null;
    // The hosts of a hybrid compute together, even where one of them has no image.
    const isLeftOut = batch.count === 0 && coordinator.network.hosts === 1;
    const own = isLeftOut ? new Float32Array(0) : await coordinator.logitsOf(batch, step);
    const { logits, labels } = await wholeBatch(coordinator.world, batch, own, classes.length);
    labels.forEach((label, view) => scores.add(rowOf(logits, view, labels.length), label));
    batch.release();
    await coordinator.world.agree();
    if (!goesOn(scores.images, ring.testCount(limit))) return null;
  }
  return scores.result();
}

/**
 * The batch of which hosts have tested shares, the same on every host.
 *
 * @param own logits `[count, classes]` of this host's share
 * @returns logits `[images, classes]` of those images that could be decoded, and their labels
 */
async function wholeBatch(
  world: World,
  { labels, count, first, of }: Batch,
  own: Float32Array,
  classes: number,
): Promise<{ logits: Float32Array; labels: Int32Array }> {
  const ownLabels = new Int32Array(labels, 0, count);
  if (world.isAlone) return { logits: own, labels: ownLabels };
  // Each share fills its places: the label plus one, then the logits. A place that stays 0 has no image.
  const width = 1 + classes;
  const places = new Float32Array(of * width);
  const filled = world.isFirstOfShare ? ownLabels : [];
  filled.forEach((label, view) => {
    const at = (first + view) * width;
    places[at] = label + 1;
    places.set(rowOf(own, view, count), at + 1);
  });
  await world.sum(places);
  const rows = Array.from({ length: of }, (_, view) =>
    places.subarray(view * width, (view + 1) * width),
  ).filter(([label]) => label !== 0);
  const logits = new Float32Array(rows.length * classes);
  rows.forEach((row, view) => logits.set(row.subarray(1), view * classes));
  return { logits, labels: Int32Array.from(rows, ([label]) => label! - 1) };
}

/** Loss and accuracies of images, whose crops come one after another. */
export class Scores {
  images = 0;

  private lossSum = 0;
  private top1 = 0;
  private top5 = 0;
  private readonly confusion: number[][];
  /** Sums of the probabilities over the crops of the current image so far; null before its first. */
  private probabilities: number[] | null = null;
  /** Cross-entropy of the label in each of these crops. */
  private losses: number[] = [];

  constructor(
    private readonly classes: string[],
    private readonly crops: Crops,
    private readonly onImage: (image: TestedImage) => void = () => {},
  ) {
    this.confusion = classes.map(() => classes.map(() => 0));
  }

  /** @param logits `[classes]` of the next crop */
  add(logits: Float32Array, label: number): void {
    const probabilities = softmax(logits);
    this.losses.push(crossEntropyOf(logits, label));
    const { probabilities: sum } = this;
    if (sum === null) this.probabilities = probabilities;
    else probabilities.forEach((probability, at) => (sum[at]! += probability));
    if (this.losses.length < this.crops) return;
    const means = this.probabilities!.map((total) => total / this.crops);
    const image = { label, probabilities: means, loss: lossOfMean(this.losses) };
    this.probabilities = null;
    this.losses = [];
    this.score(image);
    this.onImage(image);
  }

  /** A label is among the first k if fewer than k other probabilities reach its own. Ties and NaN count against it. */
  score({ label, probabilities, loss }: TestedImage): void {
    const own = probabilities[label]!;
    const before = probabilities.filter((probability) => !(probability < own)).length - 1;
    this.images++;
    this.lossSum += loss;
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
      loss: lossSum / images,
      top1: top1 / images,
      top5: top5 / images,
      images,
      crops,
      classes,
      perClass,
      confusion,
    };
  }
}

/** Cross-entropy of the averaged probability, −log(mean(exp(−loss))), without underflow. */
export function lossOfMean(losses: readonly number[]): number {
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
