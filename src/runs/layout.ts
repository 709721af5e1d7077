/**
 * A run folder and where each of its files lies.
 *
 *     runs/NAME/config.json         the resolved configuration (configuration.ts)
 *               metrics.jsonl       one event per line (metrics.ts)
 *               test.json           the last test, class by class (summary.ts)
 *               summary.json        how the run ended (summary.ts)
 *               statistics.msgpack  statistics of the training images (statistics.ts)
 *               tensorboard/        TensorBoard's log (tensorboard.ts)
 *               checkpoints/step-N/ what training resumes from (checkpoint_reader.ts, checkpoint_writer.ts)
 *               lock                which process trains in it (folder_lock.ts)
 *
 * `Run` (run.ts) writes the folder while it holds the lock. Readers never lock, write or rename.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.js';

/** The paths of a run folder. */
export interface RunFolder {
  path: string;
  /** `config.json`: the resolved configuration, itself a valid configuration file. */
  configurationFile: string;
  metricsFile: string;
  summaryFile: string;
  testFile: string;
  checkpoints: string;
}

/** @throws UserError if `path` is not a run folder */
export function openRunFolder(path: string): RunFolder {
  const run = runFolderAt(path);
  if (!existsSync(run.configurationFile)) {
    if (existsSync(seedsFileAt(path))) {
      throw new UserError(`${path} has the runs of several seeds: name one of the folders in it`);
    }
    throw new UserError(`${path} is not a run folder: it has no config.json`);
  }
  return run;
}

/** What makes a folder one of several seeds' runs (seed_folder.ts). */
export function seedsFileAt(path: string): string {
  return join(path, 'seeds.json');
}

/** The paths of a run folder that need not exist. */
export function runFolderAt(path: string): RunFolder {
  return {
    path,
    configurationFile: join(path, 'config.json'),
    metricsFile: join(path, 'metrics.jsonl'),
    summaryFile: join(path, 'summary.json'),
    testFile: join(path, 'test.json'),
    checkpoints: join(path, 'checkpoints'),
  };
}
