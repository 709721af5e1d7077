/**
 * The line that `train` prints every `--log-every` batches: what the seed prints (epoch, batch, accuracy,
 * loss), with speed, learning rate and the time that is left. Called by `train`.
 */
import { formatDuration } from './text.js';

/** One training step of the whole batch. */
export interface StepMeasurement {
  /** Mean cross-entropy of the batch. */
  loss: number;
  /** Fraction of the batch whose class came first. */
  accuracy: number;
  images: number;
  seconds: number;
}

export interface WindowAverages {
  /** Means over the images of the window. */
  loss: number;
  accuracy: number;
  imagesPerSecond: number;
  secondsPerStep: number;
}

/** Gathers the steps since the last line. */
export class MetricsWindow {
  private steps = 0;
  private images = 0;
  private seconds = 0;
  private loss = 0;
  private correct = 0;

  add(step: StepMeasurement): void {
    this.steps++;
    this.images += step.images;
    this.seconds += step.seconds;
    this.loss += step.loss * step.images;
    this.correct += step.accuracy * step.images;
  }

  /** The averages since the last call, and a new window; undefined where there was no step. */
  take(): WindowAverages | undefined {
    if (this.steps === 0) return undefined;
    const averages = {
      loss: this.loss / this.images,
      accuracy: this.correct / this.images,
      imagesPerSecond: this.images / this.seconds,
      secondsPerStep: this.seconds / this.steps,
    };
    this.steps = this.images = this.seconds = this.loss = this.correct = 0;
    return averages;
  }
}

/** Where training stands; epochs and batches count from 1. */
export interface Progress {
  epoch: number;
  epochs: number;
  batch: number;
  batches: number;
  /** Steps until training ends. */
  stepsLeft: number;
  learningRate: number;
}

/** `epoch  1/10  batch 100/781  accuracy  12.50 %  loss 2.2871  31.4 images/s  lr 0.001  12 m 05 s left` */
export function progressLine(progress: Progress, averages: WindowAverages): string {
  const { epoch, epochs, batch, batches, stepsLeft, learningRate } = progress;
  // Padded to the number it counts to, so that lines stand under each other.
  const counted = (value: number, total: number) =>
    `${String(value).padStart(String(total).length)}/${total}`;
  return [
    `epoch ${counted(epoch, epochs)}`,
    `batch ${counted(batch, batches)}`,
    `accuracy ${(100 * averages.accuracy).toFixed(2).padStart(6)} %`,
    `loss ${averages.loss.toFixed(4)}`,
    `${averages.imagesPerSecond.toFixed(1)} images/s`,
    `lr ${Number(learningRate.toPrecision(3))}`,
    `${formatDuration(stepsLeft * averages.secondsPerStep)} left`,
  ].join('  ');
}
