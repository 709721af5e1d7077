/** The paper's averages of several networks: the mean of the probabilities that each of them gives to an image. */
import type { TestedImage } from './evaluation.js';
import { lossOfMean } from './evaluation.js';

/**
 * What several runs say of the same images on average.
 *
 *     const average = new RunAverage();
 *     average.add(imagesOfOneRun);
 *     average.add(imagesOfAnother);
 *     for (const image of average.images()) …
 */
export class RunAverage {
  private runs = 0;
  /** The first run's images, their probabilities the sums over the runs. */
  private sums: readonly TestedImage[] = [];
  /** Of each image, the loss in each run. */
  private losses: number[][] = [];

  /** @param images of one run, whose probabilities may change; every run has the same images in the same order */
  add(images: readonly TestedImage[]): void {
    this.runs++;
    if (this.runs === 1) {
      this.sums = images;
      this.losses = images.map(({ loss }) => [loss]);
      return;
    }
    images.forEach(({ probabilities, loss }, image) => {
      const sums = this.sums[image]!.probabilities;
      probabilities.forEach((probability, at) => (sums[at]! += probability));
      this.losses[image]!.push(loss);
    });
  }

  /** One after another, because those of a large test set would fill much memory twice. */
  *images(): Generator<TestedImage, void, void> {
    for (const [image, { label, probabilities }] of this.sums.entries()) {
      yield {
        label,
        probabilities: probabilities.map((sum) => sum / this.runs),
        loss: lossOfMean(this.losses[image]!),
      };
    }
  }
}
