/** How a run ended, `summary.json`, and its last test class by class, `test.json`. */
import { existsSync, readFileSync } from 'node:fs';
import type { Crops } from '../data/views.js';
import { writeDurably, writeJsonDurably } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';
import type { RunFolder } from './layout.js';

/** Means over the images of a test. */
export interface TestResult {
  /** Mean over the images of minus the logarithm of the label's probability, nats. */
  loss: number;
  /** Share of the images whose label is the most probable class, and among the five most probable. */
  top1: number;
  top5: number;
  images: number;
  /** Views of each image. */
  crops: Crops;
  /** Names, by label. */
  classes: string[];
  /** Share of each class's images that were predicted right; null for a class without any. */
  perClass: (number | null)[];
  /** Images by their class (rows) and the predicted one (columns). */
  confusion: number[][];
}

/** `test.json`: the run's last test, class by class. */
export interface LastTest extends TestResult {
  step: number;
}

/** What `summary.json` says of a run that ended. */
export interface Summary {
  status: 'completed' | 'interrupted' | 'failed';
  /** Why it failed, one line. */
  error?: string;
  epochs: number;
  steps: number;
  /** Of these, left out because something was not finite. */
  skipped: number;
  /** How often this process started the workers again. */
  restarts: number;
  /** From the start of the workers to the end: of a resumed run its last part alone. */
  wallSeconds: number;
  /** In that time, without tests and checkpoints. */
  imagesPerSecond: number;
  parameters: number;
  /** The last test; null where none was made. */
  test: { loss: number; top1: number; top5: number } | null;
  /** Where each rank computed, and what was asked for. */
  placement: { rank: number; device: string; requested: string }[];
  /** The tfjs backend. */
  backend: string;
  /** What the command warned of. */
  warnings: string[];
  /** Images that could not be decoded since training was begun or resumed. */
  undecodable: string[];
}

/** Replaces `test.json` at once; not indented, as a thousand classes make a million counts. */
export function writeLastTest(run: RunFolder, test: LastTest): void {
  writeDurably(run.testFile, [new TextEncoder().encode(`${JSON.stringify(test)}\n`)]);
}

/** @throws UserError where the file is not such a test; null where no test was made yet */
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

/** @throws UserError where there is none yet, naming the field where it is not such a summary */
export function readSummary(run: RunFolder): Summary {
  try {
    return summaryOf(JSON.parse(readFileSync(run.summaryFile, 'utf8')));
  } catch (error) {
    throw new UserError(`cannot read ${run.summaryFile}: ${messageOf(error)}`, { cause: error });
  }
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

/** Whether a value may stand in the field. */
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
  backend: isText,
  warnings: isListOf(isText),
  undecodable: isListOf(isText),
};
