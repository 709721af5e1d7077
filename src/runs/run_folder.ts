/**
 * A run folder: the configuration, the metrics and the summary of one training run.
 *
 *     runs/NAME/config.json  metrics.jsonl  test.json  summary.json  checkpoints/step-N/
 *
 * Called by `train` (writes) and by every command that takes a RUN (reads). Checkpoints have their own
 * module. Accuracies are fractions, times are in the unit that their name ends with.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Configuration } from '../configuration.js';
import { UserError, messageOf } from '../errors.js';
import { makeFolder, writeJsonDurably } from '../durable_file.js';
import type { TrainerState } from './checkpoint.js';
import { runFolderAt } from './layout.js';
import type { RunFolder } from './layout.js';
import { dropMetricsAfter } from './metrics.js';
import { readLastTest } from './summary.js';
import { type RunLock, lockRun, refuseLocked } from '../folder_lock.js';

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
