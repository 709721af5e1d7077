/** The paper's averages of several networks: the mean of the probabilities that each of them gives to an image. */
import type { TestedImage } from './evaluation.js';
import { lossOfMean } from './evaluation.js';

/**
 * What several runs say of the same images on average.
 *
 *     const average = new RunAverage();
 *     average.add(imagesOfOneRun);
 *     average.add(imagesOfAnother);
 *     average.images();
 */
export class RunAverage {
  private runs = 0;
  /** Of each image, the sum of the runs' probabilities. */
  private sums: Pick<TestedImage, 'label' | 'probabilities'>[] = [];
  /** Of each image, the loss in each run. */
  private losses: number[][] = [];

  /** @param images of one run; every run has the same images in the same order */
  add(images: readonly TestedImage[]): void {
    this.runs++;
    if (this.runs === 1) {
      this.sums = images.map(({ label, probabilities }) => ({ label, probabilities }));
      this.losses = images.map(({ loss }) => [loss]);
      return;
    }
    images.forEach(({ probabilities, loss }, image) => {
      const sum = this.sums[image]!;
      sum.probabilities = sum.probabilities.map((before, at) => before + probabilities[at]!);
      this.losses[image]!.push(loss);
    });
  }

  images(): TestedImage[] {
    return this.sums.map(({ label, probabilities }, image) => ({
      label,
      probabilities: probabilities.map((sum) => sum / this.runs),
      loss: lossOfMean(this.losses[image]!),
    }));
  }
}
