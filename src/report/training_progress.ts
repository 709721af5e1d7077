/**
 * The text of training steps: the line that `train` prints every `--log-every` batches, and the progress bar
 * with where the time goes. The line has what the reference implementation prints (epoch, batch, accuracy,
 * loss), then speed, learning rate and the time left.
 */
import type { ProgressReport } from './progress.js';
import { formatDuration } from './text.js';

/** One training step of the whole batch. */
export interface StepMeasurement {
  /** Mean cross-entropy of the batch. */
  loss: number;
  /** Fraction of the batch whose class came first. */
  accuracy: number;
  images: number;
  /** Duration of the step and of the wait for its data. */
  seconds: number;
  /** Where the step's time went, averaged over the workers. */
  parts: StepParts;
}

/** Milliseconds; together, but for the communication, a little less than the step. */
export interface StepParts {
  forwardMs: number;
  backwardMs: number;
  exchangeCopyMs: number;
  exchangeWaitMs: number;
  updateMs: number;
  /** Wait for the batch, before the step. */
  dataWaitMs: number;
  /** With several hosts: communication with others under way, and the part of it that was waited for. */
  communicationMs?: number;
  exposedMs?: number;
}

export interface WindowAverages {
  /** Means over the images of the window. */
  loss: number;
  accuracy: number;
  imagesPerSecond: number;
  secondsPerStep: number;
  /** Averages per step. */
  parts: StepParts;
}

/** The steps since the last line, or the latest few. */
export class MetricsWindow {
  private steps: StepMeasurement[] = [];

  /** @param longest number of steps to keep (default: all) */
  constructor(private readonly longest = Infinity) {}

  add(step: StepMeasurement): void {
    this.steps.push(step);
    if (this.steps.length > this.longest) this.steps.shift();
  }

  /** Averages over the kept steps; undefined if there are none. */
  averages(): WindowAverages | undefined {
    const { steps } = this;
    if (steps.length === 0) return undefined;
    const sum = (of: (step: StepMeasurement) => number): number =>
      steps.reduce((total, step) => total + of(step), 0);
    const images = sum((step) => step.images);
    const seconds = sum((step) => step.seconds);
    const part = (name: keyof StepParts): number =>
      sum(({ parts }) => parts[name] ?? 0) / steps.length;
    const hasHosts = steps[0]!.parts.communicationMs !== undefined;
    return {
      loss: sum((step) => step.loss * step.images) / images,
      accuracy: sum((step) => step.accuracy * step.images) / images,
      imagesPerSecond: images / seconds,
      secondsPerStep: seconds / steps.length,
      parts: {
        forwardMs: part('forwardMs'),
        backwardMs: part('backwardMs'),
        exchangeCopyMs: part('exchangeCopyMs'),
        exchangeWaitMs: part('exchangeWaitMs'),
        updateMs: part('updateMs'),
        dataWaitMs: part('dataWaitMs'),
        ...(hasHosts && {
          communicationMs: part('communicationMs'),
          exposedMs: part('exposedMs'),
        }),
      },
    };
  }

  /** The averages since the last call; starts a new window. */
  take(): WindowAverages | undefined {
    const averages = this.averages();
    this.steps = [];
    return averages;
  }
}

/** How far training has come; epochs and batches count from 1. */
export interface Progress {
  epoch: number;
  epochs: number;
  batch: number;
  batches: number;
  /** Steps done. */
  step: number;
  /** Steps until training ends. */
  stepsLeft: number;
  learningRate: number;
}

/** `epoch  1/10  batch 100/781  accuracy  12.50 %  loss 2.2871  31.4 images/s  lr 0.001  12 m 05 s left` */
export function progressParts(progress: Progress, averages: WindowAverages): string[] {
  const { epoch, epochs, batch, batches, stepsLeft, learningRate } = progress;
  // Padded to the width of the total, so that lines align.
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
  ];
}

/** `epoch 1/3 ━━━━──── step 120/234  9.5 s left`, and the details below it. */
export function trainingReport(progress: Progress, averages: WindowAverages): ProgressReport {
  const { epoch, epochs, step, stepsLeft } = progress;
  const { parts, secondsPerStep } = averages;
  const share = (milliseconds: number): string =>
    `${((milliseconds / secondsPerStep / 1000) * 100).toFixed(0).padStart(2)} %`;
  return {
    label: `epoch ${epoch}/${epochs}`,
    unit: 'step',
    done: step,
    of: step + stepsLeft,
    secondsLeft: stepsLeft * secondsPerStep,
    details: [
      `loss ${averages.loss.toFixed(4)}`,
      `accuracy ${(100 * averages.accuracy).toFixed(1)} %`,
      `${averages.imagesPerSecond.toFixed(1)} images/s`,
      `exchange ${share(parts.exchangeCopyMs)}`,
      `wait for ranks ${share(parts.exchangeWaitMs)}`,
      ...(parts.exposedMs === undefined ? [] : [`wait for hosts ${share(parts.exposedMs)}`]),
      `wait for data ${share(parts.dataWaitMs)}`,
    ],
  };
}

/**
 * `forward 12.1 ms  backward 25.0 ms  copying 0.4 ms  waiting 1.2 ms  update 3.3 ms  data 0.1 ms`, and with several hosts
 * `communicating 20.3 ms  exposed 4.1 ms`
 */
export function partsOfStep({ parts }: WindowAverages): string[] {
  const names: [string, keyof StepParts][] = [
    ['forward', 'forwardMs'],
    ['backward', 'backwardMs'],
    ['copying', 'exchangeCopyMs'],
    ['waiting', 'exchangeWaitMs'],
    ['update', 'updateMs'],
    ['data', 'dataWaitMs'],
    ['communicating', 'communicationMs'],
    ['exposed', 'exposedMs'],
  ];
  return names.flatMap(([word, name]) => {
    const milliseconds = parts[name];
    return milliseconds === undefined ? [] : [`${word} ${milliseconds.toFixed(1)} ms`];
  });
}
