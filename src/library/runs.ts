/** The runs of a folder side by side: `listRuns` and `compareRuns` of the package, and the command `runs`. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfiguration } from '../configuration.js';
import type { Configuration } from '../configuration.js';
import { UserError } from '../errors.js';
import { isLocked } from '../folder_lock.js';
import { layersOf, settingsOf } from '../report/configuration_listing.js';
import type { RunRow } from '../report/runs_page.js';
import { latestCheckpointPath, withCheckpoint } from '../runs/checkpoint_reader.js';
import { readState } from '../runs/checkpoint_state.js';
import { openRunFolder, runFolderAt } from '../runs/layout.js';
import type { RunFolder } from '../runs/layout.js';
import type { Progress } from '../runs/progress.js';
import { isSeedFolder } from '../runs/seed_folder.js';
import { readEnd } from '../runs/summary.js';

/** One run, as far as it can be told without reading its metrics. */
export interface ListedRun extends Omit<RunRow, 'name' | 'address'> {
  path: string;
  status: 'completed' | 'interrupted' | 'failed' | 'training' | 'killed' | 'unreadable';
  /** Steps and whole epochs up to its latest checkpoint. */
  step: number;
  epoch: number;
}

/** A field of the configuration that differs between runs; `null` for a run that does not have it. */
export interface ConfigurationDifference {
  field: string;
  values: (string | null)[];
}

/**
 * The runs in a folder, the one changed last first. Folders that are no runs are left out.
 *
 * @param folder such as `runs`; none if it does not exist
 */
export function listRuns(folder: string): ListedRun[] {
  return runFoldersIn(folder)
    .map((run) => readableOrNot(run))
    .sort((one, other) => other.changed.localeCompare(one.changed));
}

/** The run folders in a folder, and in its folders of seeds; none if it does not exist. */
export function runFoldersIn(folder: string): RunFolder[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (isSeedFolder(path)) return runFoldersIn(path);
    const run = runFolderAt(path);
    return existsSync(run.configurationFile) ? [run] : [];
  });
}

/** One damaged run must not hide the others. */
function readableOrNot(run: RunFolder): ListedRun {
  try {
    return listedRun(run);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return {
      path: run.path,
      preset: null,
      status: 'unreadable',
      step: 0,
      epoch: 0,
      epochs: 0,
      best: null,
      last: null,
      imagesPerSecond: null,
      changed: changeOf(run),
      error: error.message,
    };
  }
}

function listedRun(run: RunFolder): ListedRun {
  const { name, training } = loadConfiguration({ file: run.configurationFile });
  const progress = progressOf(run);
  const { summary } = readEnd(run);
  return {
    path: run.path,
    preset: name,
    status: isLocked(run.path) ? 'training' : (summary?.status ?? 'killed'),
    step: progress?.step ?? 0,
    epoch: progress?.epoch ?? 0,
    epochs: training.epochs,
    best: progress?.best?.top1 ?? null,
    last: summary?.test?.top1 ?? progress?.lastTest?.top1 ?? null,
    imagesPerSecond: summary?.imagesPerSecond ?? null,
    changed: changeOf(run),
  };
}

/** The position of the latest checkpoint; null if there is none. */
function progressOf(run: RunFolder): Progress | null {
  if (latestCheckpointPath(run) === undefined) return null;
  return withCheckpoint(run, 'latest', ({ files }) => readState(files.state).progress);
}

/** ISO 8601. */
function changeOf({ configurationFile, metricsFile, summaryFile }: RunFolder): string {
  const times = [configurationFile, metricsFile, summaryFile].map(
    (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0,
  );
  return new Date(Math.max(...times)).toISOString();
}

/**
 * The fields in which the configurations of runs differ, by the names that `--set` takes, then the layers.
 *
 * @param runs run folders
 * @throws UserError if one is no run folder
 */
export function compareRuns(runs: readonly string[]): ConfigurationDifference[] {
  const settings = runs.map((run) =>
    fieldsOf(loadConfiguration({ file: openRunFolder(run).configurationFile })),
  );
  const fields = [...new Set(settings.flatMap((own) => [...own.keys()]))];
  return fields
    .map((field) => ({ field, values: settings.map((own) => own.get(field) ?? null) }))
    .filter(({ values }) => values.some((value) => value !== values[0]));
}

function fieldsOf(configuration: Configuration): Map<string, string> {
  const layers = layersOf(configuration.network.layers);
  return new Map([
    ...settingsOf(configuration),
    ...layers.map(([name, fields], index): [string, string] => [
      `layer ${index + 1}`,
      `${name}: ${fields}`,
    ]),
  ]);
}
