/**
 * Trains one recipe with several random seeds: `trainSeeds` of the package, and `train --seeds`.
 *
 * The runs are ordinary runs, one after another in one folder (`runs/seed_folder.ts`). A run that fails does not keep
 * the others from being trained. What is refused before a run begins ends the whole, as the others would be refused too.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { aThreadLasts } from '../backend/process_end.js';
import { loadConfiguration } from '../configuration.js';
import { UserError, messageOf } from '../errors.js';
import { lockFolder } from '../folder_lock.js';
import type { FolderLock } from '../folder_lock.js';
import { latestCheckpointPath, withCheckpoint } from '../runs/checkpoint_reader.js';
import { readState } from '../runs/checkpoint_state.js';
import { RunEvents } from '../runs/events.js';
import type { RunStart } from '../runs/events.js';
import { openRunFolder, runFolderAt } from '../runs/layout.js';
import { TRAINS, freeRunPath, refuseTakenRunFolder } from '../runs/run_path.js';
import { begunRuns, readSeedFolder, seedRunPath, writeSeedFolder } from '../runs/seed_folder.js';
import type { SeedFolder } from '../runs/seed_folder.js';
import { readSummary } from '../runs/summary.js';
import { configurationOf } from './recipe.js';
import { RunIsComplete, refuseFixedOptions } from './resume.js';
import { train } from './train.js';
import type { TrainedRun } from './train.js';
import type { TrainOptions } from './train_options.js';

export interface TrainSeedsOptions extends Omit<TrainOptions, 'seed' | 'trace' | 'world'> {
  /** Seeds of a new folder, each once; undefined with `resume`, whose folder knows them. */
  seeds?: number[] | undefined;
}

/** The runs of several seeds. */
export interface TrainedSeeds {
  /** The folder of the runs. */
  path: string;
  status: 'completed' | 'interrupted';
  /** Those that are complete, in the order of the seeds, and one that was interrupted. */
  runs: TrainedRun[];
}

/**
 * Trains one run per seed, one after another, as `train` does each. With `resume`, complete runs stay as they are, an
 * interrupted or failed one is resumed, and the seeds that had not begun follow with the recipe of those that have.
 *
 * If `signal` is aborted, the run under way is saved and no other begins.
 *
 * @throws UserError for what can be refused before a run begins, and if runs have failed, after the others have ended;
 *   the reason of `signal` if it is aborted before the first run has begun
 */
export async function trainSeeds(options: TrainSeedsOptions): Promise<TrainedSeeds> {
  const { events = new RunEvents(), signal, resume } = options;
  const folder = resume === undefined ? newSeedFolder(options) : readSeedFolder(resume);
  const { path, seeds } = folder;
  if (resume !== undefined) refuseFixedOptions(options);
  let lock: FolderLock | undefined = resume === undefined ? undefined : lockFolder(path, TRAINS);
  /** The path of the latest run that has begun. */
  let begun = '';
  const begin = (run: RunStart): void => {
    begun = run.path;
    if (lock !== undefined) return;
    lock = lockFolder(path, TRAINS);
    writeSeedFolder(folder);
  };
  events.on('start', begin);
  const runs: TrainedRun[] = [];
  const failed: number[] = [];
  try {
    for (const [index, seed] of seeds.entries()) {
      try {
        const run = await train({ ...optionsFor(seed, folder, options), events });
        runs.push(run);
        if (run.status === 'interrupted') return { path, status: 'interrupted', runs };
      } catch (error) {
        if (error instanceof RunIsComplete) {
          const run = openRunFolder(seedRunPath(folder, seed));
          runs.push({ ...readSummary(run), path: run.path });
          continue;
        }
        const isStopped = signal?.aborted === true && error === signal.reason;
        if (isStopped && lock !== undefined) return { path, status: 'interrupted', runs };
        if (begun !== seedRunPath(folder, seed) || aThreadLasts()) throw error;
        failed.push(seed);
        const next = seeds[index + 1];
        const then = next === undefined ? '' : `; training goes on with seed ${next}`;
        events.emit('warning', `seed ${seed} failed: ${messageOf(error)}${then}`);
      }
    }
  } finally {
    events.off('start', begin);
    lock?.release();
  }
  if (failed.length === 0) return { path, status: 'completed', runs };
  throw new UserError(
    `${failed.length} of ${seeds.length} runs failed, seed ${failed.join(', ')}: continue with --resume ${path}`,
  );
}

function newSeedFolder(options: TrainSeedsOptions): SeedFolder {
  const { seeds = [], out, init, initExcept, checkpoint } = options;
  if (seeds.length === 0 || new Set(seeds).size < seeds.length) {
    throw new UserError(`--seeds takes numbers that differ; it is "${seeds.join(',')}"`);
  }
  if (out !== undefined) refuseTakenRunFolder(out);
  return {
    path: out ?? freeRunPath(configurationOf(options)),
    seeds,
    initial: {
      ...(init !== undefined && { init: resolve(init) }),
      ...(initExcept !== undefined && { initExcept }),
      ...(checkpoint !== undefined && { checkpoint }),
    },
  };
}

/** What `train` gets for a seed. */
function optionsFor(seed: number, folder: SeedFolder, options: TrainSeedsOptions): TrainOptions {
  const out = seedRunPath(folder, seed);
  if (existsSync(runFolderAt(out).configurationFile)) return { ...options, resume: out };
  const [begun] = begunRuns(folder);
  return {
    ...options,
    ...(begun !== undefined && recipeOf(begun, options)),
    ...folder.initial,
    resume: undefined,
    out,
    // Last, because these come over every other field.
    settings: [...(options.settings ?? []), `training.seed=${seed}`],
  };
}

/** What a run has that the devices of this start, or a preset that was edited since, could change. */
function recipeOf(path: string, { precision }: TrainSeedsOptions): TrainOptions {
  const run = openRunFolder(path);
  const { towers } = loadConfiguration({ file: run.configurationFile });
  const before =
    latestCheckpointPath(run) === undefined
      ? null
      : withCheckpoint(run, 'latest', ({ files }) => readState(files.state).precision);
  return {
    preset: undefined,
    config: run.configurationFile,
    towers,
    precision: precision ?? before ?? undefined,
  };
}
