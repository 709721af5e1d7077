/** The events of `metrics.jsonl`, one per line: each step, each test and each skipped step. */

/** One training step. Accuracies are fractions. Times are in milliseconds. */
export interface TrainEvent {
  event: 'train';
  step: number;
  epoch: number;
  loss: number;
  accuracy: number;
  learningRate: number;
  imagesPerSecond: number;
  /** Wait for the batch, before the step. */
  dataWaitMs: number;
  stepMs: number;
  /** Parts of `stepMs`, means over the workers; forward and backward do not include the exchange. */
  forwardMs: number;
  backwardMs: number;
  /** Copying and waiting, both passes. */
  exchangeMs: number;
  /** Part of `exchangeMs`: waiting for other ranks on this host. */
  exchangeWaitMs: number;
  updateMs: number;
  exchangeBytes: number;
  /** Most bytes of its GPU's memory that a worker holds; absent without GPUs of the native backend. */
  gpuBytes?: number;
  /** With several hosts: time in which the first host communicates with others, beside computing or not. */
  communicationMs?: number;
  /** With several hosts: part of `stepMs`, waiting for others. The rest of `communicationMs` is hidden by computing. */
  exposedMs?: number;
}

/** One test of one crop per image, with the parameters after `step`. */
export interface TestEvent {
  event: 'test';
  step: number;
  epoch: number;
  loss: number;
  top1: number;
  top5: number;
}

/** A step that changed nothing, because its loss or a gradient was not finite. */
export interface SkipEvent {
  event: 'skip';
  step: number;
  epoch: number;
  /** Where it first appeared; `layer` is null if that was the loss. */
  rank: number;
  layer: string | null;
}

/** A line of `metrics.jsonl`. */
export type MetricsEvent = TrainEvent | TestEvent | SkipEvent;

/** @throws Error saying what makes the value no event */
export function eventOf(value: unknown): MetricsEvent {
  const fields = fieldsOf(value);
  const kind = fields['event'] as MetricsEvent['event'];
  if (!Object.hasOwn(NUMBERS, kind)) throw new Error('it is no train, test or skip event');
  const wrong = NUMBERS[kind].find((field) => typeof fields[field] !== 'number');
  if (wrong !== undefined) throw new Error(`${wrong} is no number`);
  return value as MetricsEvent;
}

/** The fields of each event that are numbers. */
const NUMBERS: Record<MetricsEvent['event'], readonly string[]> = {
  train: [
    'step',
    'epoch',
    'loss',
    'accuracy',
    'learningRate',
    'imagesPerSecond',
    'dataWaitMs',
    'stepMs',
    'forwardMs',
    'backwardMs',
    'exchangeMs',
    'exchangeWaitMs',
    'updateMs',
    'exchangeBytes',
  ] satisfies (keyof TrainEvent)[],
  test: ['step', 'epoch', 'loss', 'top1', 'top5'] satisfies (keyof TestEvent)[],
  skip: ['step', 'epoch', 'rank'] satisfies (keyof SkipEvent)[],
};

const fieldsOf = (value: unknown): Record<string, unknown> =>
  (value ?? {}) as Record<string, unknown>;
