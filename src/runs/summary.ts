/** How a run ended, `summary.json`, and its last test class by class, `test.json`. */
import { existsSync, readFileSync } from 'node:fs';
import type { Crops } from '../data/views.js';
import { writeDurably, writeJsonDurably } from '../durable_file.js';
import type { JpegDecoder } from '../data/choose_jpeg_decoder.js';
import { UserError, messageOf } from '../errors.js';
import type { GradientRoute, OpenedGpu } from '../parallel/messages.js';
import type { RunFolder } from './layout.js';

/** Means over the images of a test. */
export interface TestResult {
  /** Mean cross-entropy, nats. */
  loss: number;
  /** Fractions of the images whose label is the most probable class, or among the five most probable. */
  top1: number;
  top5: number;
  images: number;
  /** Crops per image. */
  crops: Crops;
  /** Names, by label. */
  classes: string[];
  /** Fraction of each class's images that were classified correctly; null for a class without images. */
  perClass: (number | null)[];
  /** Confusion matrix: image counts, `[label][predicted]`. */
  confusion: number[][];
}

/** `test.json`: the run's last test, class by class. */
export interface LastTest extends TestResult {
  step: number;
}

/** What the first host's workers spend on communication with other hosts: means per step, milliseconds. */
export interface Communication {
  /** While it is under way, beside computing or not. */
  communicationMs: number;
  /** Of that, waiting: what computing does not hide. */
  exposedMs: number;
}

/** Where a rank computed. */
export interface PlacedRank {
  rank: number;
  device: string;
  /** The device that was asked for. */
  requested: string;
  /** Absent if there is one. */
  host?: string;
  /** Absent unless it computed on a GPU with the native backend. */
  gpu?: OpenedGpu;
}

/** `summary.json`: how a run ended. */
export interface Summary {
  status: 'completed' | 'interrupted' | 'failed';
  /** Why it failed, one line. */
  error?: string;
  epochs: number;
  steps: number;
  /** Of these steps, how many changed nothing because something was not finite. */
  skipped: number;
  /** How often this process started the workers again. */
  restarts: number;
  /** From the start of the workers to the end; for a resumed run, since it was resumed. */
  wallSeconds: number;
  /** In that time, not counting tests and checkpoints. */
  imagesPerSecond: number;
  parameters: number;
  /** The last test; null if there was none. */
  test: { loss: number; top1: number; top5: number } | null;
  /** Each rank of every replica. */
  placement: PlacedRank[];
  /** Names of the processes that trained together; none if it was one. */
  hosts?: string[];
  /** Since the run was started or resumed; absent if one process trained. */
  communication?: Communication;
  /** How GPUs' gradients were summed over hosts, since the last start of the workers; absent if they were not. */
  gradientRoute?: GradientRoute;
  /** The tfjs backend. */
  backend: string;
  /** What decoded the JPEGs; absent if the data set has none. */
  jpegDecoder?: JpegDecoder;
  /** The warnings of this process. */
  warnings: string[];
  /** Images that could not be decoded since the run was started or resumed. */
  undecodable: string[];
}

/** Replaces `test.json` at once. It is not indented: a thousand classes make a million counts. */
export function writeLastTest(run: RunFolder, test: LastTest): void {
  writeDurably(run.testFile, [new TextEncoder().encode(`${JSON.stringify(test)}\n`)]);
}

/**
 * @returns null if no test was made yet
 * @throws UserError if the file is not such a test
 */
export function readLastTest(run: RunFolder): LastTest | null {
  if (!existsSync(run.testFile)) return null;
  try {
    const test = JSON.parse(readFileSync(run.testFile, 'utf8')) as LastTest;
    const { classes, confusion } = test;
    const isSquare = confusion.length === classes.length;
    if (isSquare && confusion.every((row) => row.length === classes.length)) return test;
    throw new Error('confusion is not classes × classes');
  } catch (error) {
    throw new UserError(`cannot read ${run.testFile}: ${messageOf(error)}; remove it`, {
      cause: error,
    });
  }
}

/** Replaces `summary.json` at once. */
export function writeSummary(run: RunFolder, summary: Summary): void {
  writeJsonDurably(run.summaryFile, summary);
}

/** @throws UserError if there is none yet, or naming the field that is malformed */
export function readSummary(run: RunFolder): Summary {
  try {
    return summaryOf(JSON.parse(readFileSync(run.summaryFile, 'utf8')));
  } catch (error) {
    throw new UserError(`cannot read ${run.summaryFile}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * The summary and the last test, as far as they can be read: neither is needed to resume a run.
 *
 * @returns `problems`: one line for each file that is there and cannot be read
 */
export function readEnd(run: RunFolder): {
  summary: Summary | null;
  lastTest: LastTest | null;
  problems: string[];
} {
  const problems: string[] = [];
  const orNull = <Content>(read: () => Content | null): Content | null => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(error.message);
      return null;
    }
  };
  const summary = orNull(() => (existsSync(run.summaryFile) ? readSummary(run) : null));
  const lastTest = orNull(() => readLastTest(run));
  return { summary, lastTest, problems };
}

function summaryOf(value: unknown): Summary {
  const wrong = Object.entries(SUMMARY_FIELDS).find(
    ([field, fits]) => !fits(fieldsOf(value)[field]),
  );
  if (wrong === undefined) return value as Summary;
  throw new Error(
    `${wrong[0]} is malformed or missing; remove the file to read the run without it`,
  );
}

const fieldsOf = (value: unknown): Record<string, unknown> =>
  (value ?? {}) as Record<string, unknown>;
const isText = (value: unknown): boolean => typeof value === 'string';
const isNumber = (value: unknown): boolean => typeof value === 'number';
const isListOf =
  (fits: (element: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every(fits);

/** Whether a value is valid in its field. */
const SUMMARY_FIELDS: Record<keyof Summary, (value: unknown) => boolean> = {
  status: isText,
  error: (value) => value === undefined || isText(value),
  epochs: isNumber,
  steps: isNumber,
  skipped: isNumber,
  restarts: isNumber,
  wallSeconds: isNumber,
  imagesPerSecond: isNumber,
  parameters: isNumber,
  test: (value) =>
    value === null || ['loss', 'top1', 'top5'].every((field) => isNumber(fieldsOf(value)[field])),
  placement: isListOf((value) => {
    const { rank, device, requested } = fieldsOf(value);
    return isNumber(rank) && isText(device) && isText(requested);
  }),
  hosts: (value) => value === undefined || isListOf(isText)(value),
  communication: (value) =>
    value === undefined ||
    ['communicationMs', 'exposedMs'].every((field) => isNumber(fieldsOf(value)[field])),
  gradientRoute: (value) => value === undefined || isText(value),
  backend: isText,
  jpegDecoder: (value) => value === undefined || isText(fieldsOf(value)['name']),
  warnings: isListOf(isText),
  undecodable: isListOf(isText),
};
