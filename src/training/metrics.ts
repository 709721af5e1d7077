/** What a training run says as it goes: a line every so many batches, and one for each test. */
import { formatCount, formatDuration, formatPercent } from '../report/text.js';
import type { TestResult } from './evaluation.js';
import type { TrainEvent } from './run_folder.js';

export interface Position {
  epoch: number;
  epochs: number;
  batchInEpoch: number;
  /** Of the epoch. */
  batches: number;
  stepsLeft: number;
}

/** Averages over the steps since the last line. */
export class ProgressWindow {
  private events: TrainEvent[] = [];

  /** @param batch images a step */
  constructor(private readonly batch: number) {}

  add(event: TrainEvent): void {
    this.events.push(event);
  }

  /** The seed's batch, accuracy and loss, with images/s, learning rate and time left; starts a new window. */
  line({ epoch, epochs, batchInEpoch, batches, stepsLeft }: Position): string {
    const mean = (of: (event: TrainEvent) => number): number =>
      this.events.reduce((sum, event) => sum + of(event), 0) / this.events.length;
    const secondsPerStep = mean(({ imagesPerSecond }) => this.batch / imagesPerSecond);
    const parts = [
      `epoch ${epoch}/${epochs}`,
      `batch ${batchInEpoch}/${batches}`,
      `accuracy ${formatPercent(mean(({ accuracy }) => accuracy))}`,
      `loss ${mean(({ loss }) => loss).toFixed(4)}`,
      `${(this.batch / secondsPerStep).toFixed(1)} images/s`,
      `lr ${Number(this.events.at(-1)!.learningRate.toPrecision(3))}`,
      `${formatDuration(stepsLeft * secondsPerStep)} left`,
    ];
    this.events = [];
    return parts.join('  ');
  }
}

export function testLine(epoch: number, { loss, top1, top5, images }: TestResult): string {
  return `epoch ${epoch} test: top-1 ${formatPercent(top1)}  top-5 ${formatPercent(top5)}  loss ${loss.toFixed(4)}  ${formatCount(images)} images`;
}
