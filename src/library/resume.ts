/**
 * Going on with a run: what of its configuration may change, and where in the data its checkpoint is.
 * Called by the library's `train`.
 */
import { existsSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Configuration } from '../configuration.js';
import { batchesPerEpoch } from '../data/batches.js';
import { UserError } from '../errors.js';
import { checkpointFiles, lastWholeCheckpoint } from '../runs/checkpoint.js';
import type { DamagedCheckpoint, TrainerState } from '../runs/checkpoint.js';
import { openRunFolder } from '../runs/layout.js';
import { readLastTest, readSummary } from '../runs/summary.js';
import type { RunFolder } from '../runs/layout.js';
import type { ResolvedPlacement } from './devices.js';
import { configurationOf } from './recipe.js';
import type { TrainOptions } from './train_options.js';

export interface ResumedRun {
  run: RunFolder;
  /** The run's own, with the options of this command over it. */
  configuration: Configuration;
  /** What those options changed, such as `training.batch: 64 → 128`. */
  changes: string[];
  files: ReturnType<typeof checkpointFiles>;
  /** The position of its last whole checkpoint. */
  state: TrainerState;
  /** Later ones that are not. */
  damaged: DamagedCheckpoint[];
}

/** @throws UserError for an option that a run cannot go on with, and for one without a checkpoint */
export function runToResume(path: string, given: TrainOptions): ResumedRun {
  for (const name of ['out', 'init', 'preset', 'config'] as const) {
    if (given[name] !== undefined)
      throw new UserError(`--${name} does not go with --resume: the run has its own`);
  }
  const run = openRunFolder(path);
  const { path: whole, state, damaged } = lastWholeCheckpoint(run);
  const config = run.configurationFile;
  const own = configurationOf({ config });
  const configuration = configurationOf({ ...given, config });
  refuseAnotherCourse(own, configuration, path);
  return {
    run,
    configuration,
    changes: changesOf(own, configuration),
    files: checkpointFiles(whole),
    state,
    damaged,
  };
}

/** What goes on otherwise: of the configuration, and the numbers that it is computed in. */
export function changesOnResuming(
  { changes, state }: ResumedRun,
  { precision }: Pick<ResolvedPlacement, 'precision'>,
): string[] {
  const isOther = state.precision !== undefined && state.precision !== precision;
  return isOther ? [...changes, `precision: ${state.precision} → ${precision}`] : changes;
}

export function damageWarnings(resumed: ResumedRun | undefined): string[] {
  if (resumed === undefined) return [];
  return resumed.damaged.map(
    ({ path, problem }) =>
      `${problem}; going on from step ${resumed.state.step}, the last whole checkpoint (${path} is kept as ${path}.damaged)`,
  );
}

/** What the checkpoint's parameters and position mean nothing without. */
function refuseAnotherCourse(own: Configuration, asked: Configuration, path: string): void {
  const parts: [string, (of: Configuration) => unknown][] = [
    ['network', (of) => of.network],
    ['towers', (of) => of.towers],
    ['training.seed', (of) => of.training.seed],
  ];
  for (const [name, partOf] of parts) {
    if (isDeepStrictEqual(partOf(own), partOf(asked))) continue;
    throw new UserError(
      `${name} cannot change in the run ${path}: leave that option out, or start a new run`,
    );
  }
}

/** `section.field: before → after` of each field of the configuration's sections that is another now. */
function changesOf(own: Configuration, asked: Configuration): string[] {
  return (['data', 'training', 'test'] as const).flatMap((section) => {
    const [before, after] = [own, asked].map((of) => of[section] as object as Fields) as [
      Fields,
      Fields,
    ];
    return [...new Set([...Object.keys(before), ...Object.keys(after)])]
      .filter((field) => !isDeepStrictEqual(before[field], after[field]))
      .map((field) => `${section}.${field}: ${shown(before[field])} → ${shown(after[field])}`);
  });
}

type Fields = Record<string, unknown>;

function shown(value: unknown): string {
  return JSON.stringify(value) ?? 'none';
}

/**
 * The checkpoint's position in an epoch of the batches that are asked for: where they are of another size,
 * at the last border between them that is not past it, so that a few images may come twice.
 *
 * @param trainingImages of the data set that is there now
 * @throws UserError where the checkpoint is of other data, or there is nothing left to do
 */
export function positionAgain(
  { state, run, configuration: { training, test } }: ResumedRun,
  trainingImages: number,
): TrainerState {
  const { epochs, steps, batch } = training;
  const { step, epoch, batchInEpoch, batch: before } = state;
  if (state.trainingImages !== undefined && state.trainingImages !== trainingImages) {
    throw new UserError(
      `the checkpoint is of a data set with ${state.trainingImages} training images, this one has ${trainingImages}: give the --data it was trained on`,
    );
  }
  // The last test may have been interrupted or failed, or one of more views not been asked for until now.
  const last = readLastTest(run);
  const isTested = state.testTop1 !== null && last?.step === step && last.crops === test.crops;
  // A kill may have come between the last checkpoint and the end.
  const hasEnded = existsSync(run.summaryFile) && readSummary(run).status === 'completed';
  if (isTested && hasEnded && (epoch >= epochs || (steps !== null && step >= steps))) {
    throw new UserError(
      `the run is complete: ${epoch} of ${epochs} epochs and ${step} of ${steps ?? step} steps; give more ${epoch >= epochs ? '--epochs' : '--steps'} to go on`,
    );
  }
  if (before === batch) return state;
  const isWhole = batchInEpoch === batchesPerEpoch(trainingImages, before);
  const whole = batchesPerEpoch(trainingImages, batch);
  return {
    ...state,
    batchInEpoch: isWhole ? whole : Math.min(whole, Math.floor((batchInEpoch * before) / batch)),
  };
}
