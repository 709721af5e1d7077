/** The events of `metrics.jsonl`, one per line: each step, each test and each skipped step. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { writeDurably } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';
import type { TrainerState } from './checkpoint.js';
import type { RunFolder } from './layout.js';

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
  /** Part of `exchangeMs`: waiting for other ranks. */
  exchangeWaitMs: number;
  updateMs: number;
  exchangeBytes: number;
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

/** Appends one line in one write, so that a kill leaves whole lines but perhaps the last. */
export function appendMetrics(run: RunFolder, event: MetricsEvent): void {
  try {
    appendFileSync(run.metricsFile, `${JSON.stringify(event)}\n`);
  } catch (error) {
    throw new UserError(`cannot write ${run.metricsFile}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * All events, in order. A last line without its newline is one that a kill cut off: it is left out.
 *
 * @throws UserError naming the line that is not such an event
 */
export function readMetrics(run: RunFolder): MetricsEvent[] {
  if (!existsSync(run.metricsFile)) return [];
  const lines = readFileSync(run.metricsFile, 'utf8').split('\n').slice(0, -1);
  return lines.map((line, index) => {
    try {
      return eventOf(JSON.parse(line));
    } catch (error) {
      throw new UserError(`${run.metricsFile}, line ${index + 1}: ${messageOf(error)}`);
    }
  });
}

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

/** Drops what a run from the checkpoint writes again, so that its metrics are those of an uninterrupted one. */
export function dropMetricsAfter(
  run: RunFolder,
  { step, testTop1 }: Pick<TrainerState, 'step' | 'testTop1'>,
): void {
  if (!existsSync(run.metricsFile)) return;
  const kept = readMetrics(run).filter((event) => {
    const isAgain = event.step === step && event.event === 'test' && testTop1 === null;
    return event.step <= step && !isAgain;
  });
  const text = kept.map((event) => `${JSON.stringify(event)}\n`).join('');
  writeDurably(run.metricsFile, [new TextEncoder().encode(text)]);
}
