/**
 * A run folder: the configuration, the metrics and the summary of one training run.
 *
 *     runs/NAME/config.json  metrics.jsonl  test.json  summary.json  checkpoints/step-N/
 *
 * Called by `train` (writes) and by every command that takes a RUN (reads). Checkpoints have their own
 * module. Accuracies are fractions, times are in the unit that their name ends with.
 */
import { rmSync } from 'node:fs';
import type { Configuration } from '../configuration.js';
import { makeFolder, writeJsonDurably } from '../durable_file.js';
import type { TrainerState } from './checkpoint.js';
import { runFolderAt } from './layout.js';
import type { RunFolder } from './layout.js';
import { dropMetricsAfter } from './metrics.js';
import { readLastTest } from './summary.js';
import { type RunLock, lockRun } from '../folder_lock.js';
import { makeFreeRunPath, refuseTakenRunFolder } from './run_path.js';

export { freeRunPath, refuseTakenRunFolder } from './run_path.js';

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
