/** Where each file of a run folder lies. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.js';

export interface RunFolder {
  path: string;
  /** `config.json`: the resolved configuration, itself a valid configuration file. */
  configurationFile: string;
  metricsFile: string;
  summaryFile: string;
  testFile: string;
  checkpoints: string;
}

/** @throws UserError where `path` is no run folder */
export function openRunFolder(path: string): RunFolder {
  const run = runFolderAt(path);
  if (!existsSync(run.configurationFile)) {
    throw new UserError(`${path} is not a run folder: it has no config.json`);
  }
  return run;
}

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
