/** Checkpoints as the training loop that is about to be replaced knows them: its state over the files of today. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Precision } from '../backend/backend.js';
import type { Configuration } from '../configuration.js';
import { syncFolder } from '../durable_file.js';
import { renameSync, rmSync, statSync } from 'node:fs';
import * as reader from './checkpoint_reader.js';
import type { DamagedCheckpoint } from './checkpoint_reader.js';
import { readState } from './checkpoint_state.js';
import type { CheckpointState } from './checkpoint_state.js';
import { clearPassing, writeCheckpoint } from './checkpoint_writer.js';
import type { RunFolder } from './layout.js';
import type { PlateauState } from './progress.js';
import type { TensorMap } from './safetensors.js';

export { checkpointFiles } from './checkpoint_folder.js';
export type { DamagedCheckpoint } from './checkpoint_reader.js';

export const STATE_VERSION = 1;

/**
 * The position of training. Random numbers need none: they are functions of the seed, the step and the
 * epoch.
 */
export interface TrainerState {
  version: typeof STATE_VERSION;
  /** Steps done. */
  step: number;
  /** Epochs completed: the index of the current one, from 0. */
  epoch: number;
  /** Batches of the current epoch done. */
  batchInEpoch: number;
  seed: number;
  /** T of the placement that wrote it; any other loads it. */
  towers: number;
  datasetName: string;
  /** Top-1 test accuracy of these parameters, a fraction; null where they were not tested. */
  testTop1: number | null;
  /** The best of all tests so far and its step; null before the first. */
  bestTop1: number | null;
  bestStep: number | null;
  /** Of a `plateau` schedule, from the first epoch's end on. */
  plateau?: PlateauState | undefined;
  /** Images a step, in which the position counts. */
  batch: number;
  /** Of the data set; not before the first step. */
  trainingImages?: number;
  /** Of the operands of its convolutions and matrix products; not before the first step. */
  precision?: Precision;
  /** Node's, where the run was begun: for the reader of a bug report. */
  versions: Record<string, string>;
}

/** The position before the first step. */
export function initialState({ towers, data, training }: Configuration): TrainerState {
  return {
    version: STATE_VERSION,
    step: 0,
    epoch: 0,
    batchInEpoch: 0,
    seed: training.seed,
    towers,
    datasetName: data.source,
    testTop1: null,
    bestTop1: null,
    bestStep: null,
    batch: training.batch,
    versions: { node: process.versions.node },
  };
}

/** All that a checkpoint folder holds. */
export interface Checkpoint {
  state: TrainerState;
  model: TensorMap;
  optimizer: TensorMap;
}

/** The state after a test of its parameters; an equal accuracy leaves the earlier step the best. */
export function withTestResult(state: TrainerState, top1: number): TrainerState {
  const better = state.bestTop1 === null || top1 > state.bestTop1;
  return {
    ...state,
    testTop1: top1,
    bestTop1: better ? top1 : state.bestTop1,
    bestStep: better ? state.step : state.bestStep,
  };
}

function storedFrom(state: TrainerState): CheckpointState {
  const { step, epoch, batchInEpoch, testTop1, bestTop1, bestStep, plateau } = state;
  const { seed, towers, datasetName, batch } = state;
  return {
    progress: {
      step,
      epoch,
      batch: batchInEpoch,
      skipped: 0,
      lastTest: testTop1 === null ? null : { step, loss: 0, top1: testTop1, top5: testTop1 },
      best: bestStep === null ? null : { step: bestStep, top1: bestTop1! },
      plateau,
    },
    seed,
    towers,
    datasetName,
    classes: null,
    batch,
    trainingImages: state.trainingImages ?? null,
    precision: state.precision ?? null,
  };
}

export function loadState(path: string): TrainerState {
  const { progress, seed, towers, datasetName, batch, trainingImages, precision, versions } =
    readState(path);
  const { step, epoch, lastTest, best, plateau } = progress;
  return {
    version: STATE_VERSION,
    step,
    epoch,
    batchInEpoch: progress.batch,
    seed,
    towers,
    datasetName,
    testTop1: lastTest?.step === step ? lastTest.top1 : null,
    bestTop1: best?.top1 ?? null,
    bestStep: best?.step ?? null,
    plateau,
    batch,
    ...(trainingImages === null ? {} : { trainingImages }),
    ...(precision === null ? {} : { precision }),
    versions,
  };
}

export function saveCheckpoint(run: RunFolder, { state, model, optimizer }: Checkpoint): string {
  return writeCheckpoint({
    run,
    lock: { folder: run.path, text: lockTextOf(run)! },
    state: storedFrom(state),
    metricsBytes: statSync(run.metricsFile, { throwIfNoEntry: false })?.size ?? 0,
    tensors: { model, optimizer },
  });
}

function lockTextOf(run: RunFolder): string | undefined {
  try {
    return readFileSync(join(run.path, 'lock'), 'utf8');
  } catch {
    return undefined;
  }
}

export function latestCheckpoint(run: RunFolder): string | undefined {
  return reader.latestCheckpointPath(run);
}

export function lastWholeCheckpoint(run: RunFolder): {
  path: string;
  state: TrainerState;
  damaged: DamagedCheckpoint[];
} {
  clearPassing(run);
  const { checkpoint, damaged } = reader.lastWholeCheckpoint(run);
  return { path: checkpoint.path, state: loadState(checkpoint.files.state), damaged };
}

export function setAside(run: RunFolder, damaged: DamagedCheckpoint[]): void {
  for (const { path } of damaged) {
    rmSync(`${path}.damaged`, { recursive: true, force: true });
    renameSync(path, `${path}.damaged`);
  }
  if (damaged.length > 0) syncFolder(run.checkpoints);
}
