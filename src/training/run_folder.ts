/**
 * A run folder: the configuration, the metrics and the summary of one training run.
 *
 *     runs/NAME/config.json  metrics.jsonl  test.json  summary.json  checkpoints/step-N/
 *
 * Called by `train` (writes) and by every command that takes a RUN (reads). Checkpoints have their own
 * module. Accuracies are fractions, times are in the unit that their name ends with.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Configuration } from '../configuration.js';
import { UserError, messageOf } from '../errors.js';
import type { TestResult } from './evaluation.js';
import { makeFolder, writeDurably, writeJsonDurably } from '../durable_file.js';
import type { TrainerState } from './checkpoint.js';
import { type RunLock, lockRun, refuseLocked } from './run_lock.js';

export interface RunFolder {
  path: string;
  /** `config.json`: the resolved configuration, itself a valid configuration file. */
  configurationFile: string;
  metricsFile: string;
  summaryFile: string;
  testFile: string;
  checkpoints: string;
}

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

/** `test.json`: the run's last test, class by class. */
export interface LastTest extends TestResult {
  step: number;
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

/**
 * Creates the folder and its `config.json`.
 *
 * @throws UserError where the path is taken or cannot be created
 */
export function createRunFolder(path: string, configuration: Configuration): RunFolder {
  const run = runFolderAt(path);
  refuseTakenRunFolder(path);
  makeFolder(path);
  writeJsonDurably(run.configurationFile, configuration);
  return run;
}

/** @throws UserError where `path` is a file or a folder that is not empty */
export function refuseTakenRunFolder(path: string): void {
  const there = statSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isDirectory()) throw new UserError(`${path} is a file: choose another --out`);
  refuseLocked(path);
  // The lock is there first, and a stale one is no run.
  if (readdirSync(path).every((name) => name === 'lock')) return;
  throw new UserError(
    `the run folder ${path} exists and is not empty: choose another --out or --resume it`,
  );
}

/** `runs/NAME`, or `runs/NAME-2` and so on where that is taken. */
export function freeRunPath({ name }: Configuration): string {
  const base = join('runs', basename(name, '.json'));
  if (!existsSync(base)) return base;
  for (let number = 2; ; number++) {
    if (!existsSync(`${base}-${number}`)) return `${base}-${number}`;
  }
}

/**
 * A new run folder that no other process has.
 *
 * @param out where; without it the first of `freeRunPath` that is still free
 * @throws UserError where the path is taken or cannot be created
 */
export function claimRunFolder(
  out: string | undefined,
  configuration: Configuration,
): { run: RunFolder; lock: RunLock } {
  const path = out ?? makeFreeRunPath(configuration);
  makeFolder(path);
  const lock = lockRun(path);
  try {
    return { run: createRunFolder(path, configuration), lock };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Of two processes that find the same path free only one makes its folder. */
function makeFreeRunPath(configuration: Configuration): string {
  for (;;) {
    const path = freeRunPath(configuration);
    makeFolder(dirname(path));
    try {
      mkdirSync(path);
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw new UserError(`cannot create the folder ${path}: ${messageOf(error)}`);
    }
  }
}

/** @throws UserError where `path` is no run folder */
export function openRunFolder(path: string): RunFolder {
  const run = runFolderAt(path);
  if (!existsSync(run.configurationFile)) {
    throw new UserError(`${path} is not a run folder: it has no config.json`);
  }
  return run;
}

function runFolderAt(path: string): RunFolder {
  return {
    path,
    configurationFile: join(path, 'config.json'),
    metricsFile: join(path, 'metrics.jsonl'),
    summaryFile: join(path, 'summary.json'),
    testFile: join(path, 'test.json'),
    checkpoints: join(path, 'checkpoints'),
  };
}

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

/**
 * Makes the folder that of a run that goes on from a checkpoint: its configuration is what the run goes on
 * with, the metrics of later steps are dropped, and how it ended before.
 */
export function reopenRunFolder(
  run: RunFolder,
  configuration: Configuration,
  from: Pick<TrainerState, 'step' | 'testTop1'>,
): void {
  writeJsonDurably(run.configurationFile, configuration);
  dropMetricsAfter(run, from);
  if ((readLastTest(run)?.step ?? 0) > from.step) rmSync(run.testFile);
  rmSync(run.summaryFile, { force: true });
}

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
