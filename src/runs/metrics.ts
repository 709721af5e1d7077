/** `metrics.jsonl`: one event per line, for each step, test and skipped batch. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { writeDurably } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';
import type { TrainerState } from './checkpoint.js';
import type { RunFolder } from './layout.js';

/** One training step; one each, so that where a run was resumed does not show in its metrics. */
export interface TrainEvent {
  event: 'train';
  step: number;
  epoch: number;
  loss: number;
  accuracy: number;
  learningRate: number;
  imagesPerSecond: number;
  /** Before the step, until its batch was decoded. */
  dataWaitMs: number;
  stepMs: number;
  /** The parts of `stepMs`, means over the workers; the exchange is in neither of the first two. */
  forwardMs: number;
  backwardMs: number;
  /** Copying and waiting. */
  exchangeMs: number;
  /** Of `exchangeMs`: until the other ranks had written. */
  exchangeWaitMs: number;
  updateMs: number;
  exchangeBytes: number;
}

/** One pass over the test images with the parameters as they are after `step`. */
export interface TestEvent {
  event: 'test';
  step: number;
  epoch: number;
  loss: number;
  top1: number;
  top5: number;
}

/** A step that was not taken: its loss or a gradient was not finite, and the parameters are as before. */
export interface SkipEvent {
  event: 'skip';
  step: number;
  epoch: number;
  /** Where it first appeared; layer null: in the loss alone. */
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

function eventOf(value: unknown): MetricsEvent {
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
