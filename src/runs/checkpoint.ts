/**
 * Checkpoints: everything from which training goes on exactly, in `checkpoints/step-N/` of a run folder.
 *
 *     model.safetensors      parameters in canonical form (src/model/network.ts)
 *     optimizer.safetensors  the momentum of each, same names and shapes
 *     state.msgpack          TrainerState
 *     checksums.json         size and SHA-256 of each (checksums.ts)
 *
 * A checkpoint is made in a hidden folder beside its final name, flushed and renamed: what is called
 * `step-N` was whole when it was written, and its checksums tell whether it still is. Folders go the same
 * way: renamed to a hidden name first, then deleted. Hidden folders that a killed process left are cleared
 * at the next save. One process at a time writes to a run.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pack, unpack } from 'msgpackr';
import { UserError, messageOf } from '../errors.js';
import type { Precision } from '../backend/numerics.js';
import type { Configuration } from '../configuration.js';
import type { Network } from '../model/network.js';
import { syncFile, syncFolder } from '../durable_file.js';
import { readSmallFile } from '../bounded_file.js';
import { verifySummedFiles, writeSummedFiles } from '../checksums.js';
import type { RunFolder } from './layout.js';
import type { PlateauState } from './progress.js';
import { readSafetensors, safetensorsChunks, type TensorMap } from './safetensors.js';

export const STATE_VERSION = 1;

/** How many of the latest checkpoints stay, besides the best. */
const KEPT = 3;

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

const MODEL = 'model.safetensors';
const OPTIMIZER = 'optimizer.safetensors';
const STATE = 'state.msgpack';
/** Bytes; it has a few hundred. */
const LONGEST_STATE = 1 << 20;

/** The files of a checkpoint folder, for a command that needs but one of them. */
export function checkpointFiles(path: string): { model: string; optimizer: string; state: string } {
  return {
    model: join(path, MODEL),
    optimizer: join(path, OPTIMIZER),
    state: join(path, STATE),
  };
}

/**
 * Writes `checkpoints/step-N`, replacing one of the same step, then removes all but the last three and
 * `state.bestStep`.
 *
 * @returns the checkpoint's path
 * @throws UserError where it cannot be written; the earlier checkpoints are as they were
 */
export function saveCheckpoint(run: RunFolder, checkpoint: Checkpoint): string {
  const { step, bestStep } = checkpoint.state;
  const partial = hiddenPath(run, step, 'partial');
  const path = checkpointPath(run, step);
  try {
    // Not the folders above it: a run whose folder was deleted does not come back with half of its files.
    if (!existsSync(run.checkpoints)) mkdirSync(run.checkpoints);
    clearHidden(run);
    // The metrics of a checkpoint's past must outlast a power failure with it.
    syncFile(run.metricsFile);
    mkdirSync(partial);
    writeSummedFiles(partial, {
      [MODEL]: safetensorsChunks(checkpoint.model, { format: 'pt' }),
      [OPTIMIZER]: safetensorsChunks(checkpoint.optimizer, { format: 'pt' }),
      [STATE]: [pack(checkpoint.state)],
    });
    syncFolder(partial);
    if (existsSync(path)) renameSync(path, hiddenPath(run, step, 'replaced'));
    renameSync(partial, path);
    syncFolder(run.checkpoints);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw new UserError(`cannot write the checkpoint ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  try {
    clearHidden(run);
    removeOld(run, [step, bestStep]);
  } catch (error) {
    throw new UserError(`cannot remove old checkpoints: ${messageOf(error)}`, { cause: error });
  }
  return path;
}

/** The checkpoint of the highest step; undefined where there is none. */
export function latestCheckpoint(run: RunFolder): string | undefined {
  restoreReplaced(run);
  const step = checkpointSteps(run).at(-1);
  return step === undefined ? undefined : checkpointPath(run, step);
}

/**
 * The latest checkpoint, verified.
 *
 * @throws UserError where the run has none yet, or naming the file of it that is damaged
 */
export function requireCheckpoint(run: RunFolder): string {
  const path = latestCheckpoint(run);
  if (path === undefined) throw noCheckpoint(run);
  try {
    verifyCheckpoint(path);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `${error.message}; remove ${path} to take the checkpoint before it, or go on from that with --resume ${run.path}`,
    );
  }
  return path;
}

/** A checkpoint that is no longer as it was written. */
export interface DamagedCheckpoint {
  path: string;
  /** Names the file, one line. */
  problem: string;
}

/**
 * The latest checkpoint that is as it was written, and the later ones that are not.
 *
 * @throws UserError where there is none
 */
export function lastWholeCheckpoint(run: RunFolder): {
  path: string;
  state: TrainerState;
  damaged: DamagedCheckpoint[];
} {
  restoreReplaced(run);
  const damaged: DamagedCheckpoint[] = [];
  for (const step of checkpointSteps(run).reverse()) {
    const path = checkpointPath(run, step);
    try {
      return { path, state: verifyCheckpoint(path), damaged };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      damaged.push({ path, problem: error.message });
    }
  }
  const [first] = damaged;
  if (first === undefined) throw noCheckpoint(run);
  throw new UserError(
    `${first.problem}, and no earlier checkpoint of ${run.path} is whole: start it anew`,
  );
}

/** Gives damaged checkpoints a name of their own, `step-N.damaged`, so that the whole one is the latest. */
export function setAside(run: RunFolder, damaged: DamagedCheckpoint[]): void {
  for (const { path } of damaged) {
    try {
      rmSync(`${path}.damaged`, { recursive: true, force: true });
      renameSync(path, `${path}.damaged`);
    } catch (error) {
      throw new UserError(`cannot rename ${path}: ${messageOf(error)}`, { cause: error });
    }
  }
  if (damaged.length > 0) syncFolder(run.checkpoints);
}

function noCheckpoint(run: RunFolder): UserError {
  return new UserError(`${run.path} has no checkpoint yet: train it for longer, or start it anew`);
}

/** @throws UserError naming the file that is damaged, missing, or another step's */
function verifyCheckpoint(path: string): TrainerState {
  verifySummedFiles(path, [MODEL, OPTIMIZER, STATE]);
  const { state: file } = checkpointFiles(path);
  const state = loadState(file);
  if (`step-${state.step}` !== basename(path)) {
    throw new UserError(`${file} is of step ${state.step}: ${path} is another checkpoint, renamed`);
  }
  return state;
}

/** @throws UserError naming the file that is missing, malformed or of an unknown version */
export function loadCheckpoint(path: string): Checkpoint {
  const files = checkpointFiles(path);
  return {
    state: loadState(files.state),
    model: readSafetensors(files.model),
    optimizer: readSafetensors(files.optimizer),
  };
}

/**
 * Checks that `tensors`, read from `path`, are the network's parameters, all and no others.
 *
 * @throws UserError naming the first that is missing, extra or of another shape
 */
export function checkAgainst(
  network: Network,
  tensors: Map<string, { shape: number[] }>,
  path: string,
): void {
  const [first] = differencesFrom(network, tensors);
  if (first === undefined) return;
  const { name, stored, wanted } = first;
  const difference =
    stored === undefined
      ? `it has no ${name}`
      : wanted === undefined
        ? `the network has no ${name}`
        : `its ${name} is [${stored.shape.join(', ')}], the network's [${wanted.join(', ')}]`;
  throw new UserError(`${path} is a checkpoint of another network: ${difference}`);
}

/** A tensor that a network and a file do not both have, in the same shape. */
export interface TensorDifference<Stored extends { shape: number[] }> {
  name: string;
  /** The file's; undefined where it has none. */
  stored: Stored | undefined;
  /** The network's shape; undefined where it has no such parameter. */
  wanted: number[] | undefined;
}

/** The network's parameters that are missing in `tensors` or of another shape, in order, then the surplus. */
export function differencesFrom<Stored extends { shape: number[] }>(
  network: Network,
  tensors: Map<string, Stored>,
): TensorDifference<Stored>[] {
  const differences: TensorDifference<Stored>[] = [];
  const surplus = new Map(tensors);
  for (const { name, shape: wanted } of network.parameters) {
    const stored = tensors.get(name);
    surplus.delete(name);
    if (stored?.shape.join() !== wanted.join()) differences.push({ name, stored, wanted });
  }
  for (const [name, stored] of surplus) differences.push({ name, stored, wanted: undefined });
  return differences;
}

/** @throws UserError naming the file that is missing, malformed or of an unknown version */
export function loadState(path: string): TrainerState {
  const bytes = readSmallFile(path, LONGEST_STATE);
  let state: unknown;
  try {
    state = unpack(bytes);
  } catch (error) {
    throw new UserError(`${path} is malformed: ${messageOf(error)}`, { cause: error });
  }
  if (typeof state !== 'object' || state === null) throw new UserError(`${path} is malformed`);
  const fields = state as Record<string, unknown>;
  if (fields['version'] !== STATE_VERSION) {
    throw new UserError(
      `${path} has version ${JSON.stringify(fields['version'])}; this program reads version ${STATE_VERSION}`,
    );
  }
  for (const [name, isValid] of Object.entries(STATE_FIELDS)) {
    if (!isValid(fields[name])) throw new UserError(`${path} is malformed: no valid ${name}`);
  }
  return state as TrainerState;
}

const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;
const isFraction = (value: unknown) => typeof value === 'number' && value >= 0 && value <= 1;
const orNull = (isValid: (value: unknown) => boolean) => (value: unknown) =>
  value === null || isValid(value);

const orMissing = (isValid: (value: unknown) => boolean) => (value: unknown) =>
  value === undefined || isValid(value);
const isPlateau = (value: unknown) => {
  const { drops, best, waited } = Object(value) as Record<string, unknown>;
  return isCount(drops) && isCount(waited) && orNull(isFraction)(best);
};

const STATE_FIELDS: Record<keyof TrainerState, (value: unknown) => boolean> = {
  version: isCount,
  step: isCount,
  epoch: isCount,
  batchInEpoch: isCount,
  seed: isCount,
  towers: (value) => isCount(value) && value !== 0,
  datasetName: (value) => typeof value === 'string',
  testTop1: orNull(isFraction),
  bestTop1: orNull(isFraction),
  bestStep: orNull(isCount),
  plateau: orMissing(isPlateau),
  batch: (value) => isCount(value) && value !== 0,
  trainingImages: orMissing(isCount),
  precision: orMissing((value) => value === 'float32' || value === 'bf16'),
  versions: (value) => typeof value === 'object' && value !== null,
};

/** Steps that have a checkpoint, ascending. */
function checkpointSteps(run: RunFolder): number[] {
  return namesIn(run)
    .map((name) => /^step-(\d+)$/.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((one, other) => one - other);
}

function removeOld(run: RunFolder, kept: (number | null)[]): void {
  for (const step of checkpointSteps(run).slice(0, -KEPT)) {
    if (kept.includes(step)) continue;
    const hidden = hiddenPath(run, step, 'removed');
    renameSync(checkpointPath(run, step), hidden);
    rmSync(hidden, { recursive: true });
  }
}

const HIDDEN = /^\.step-(\d+)\.(partial|replaced|removed)-\d+$/;

function clearHidden(run: RunFolder): void {
  restoreReplaced(run);
  for (const name of namesIn(run)) {
    if (HIDDEN.test(name)) rmSync(join(run.checkpoints, name), { recursive: true });
  }
}

/** Brings back a checkpoint whose successor of the same step a kill kept from its name. */
function restoreReplaced(run: RunFolder): void {
  for (const name of namesIn(run)) {
    const [, step, reason] = HIDDEN.exec(name) ?? [];
    if (reason !== 'replaced') continue;
    const path = checkpointPath(run, Number(step));
    if (!existsSync(path)) renameSync(join(run.checkpoints, name), path);
  }
}

function namesIn(run: RunFolder): string[] {
  return existsSync(run.checkpoints) ? readdirSync(run.checkpoints) : [];
}

function checkpointPath(run: RunFolder, step: number): string {
  return join(run.checkpoints, `step-${step}`);
}

function hiddenPath(
  run: RunFolder,
  step: number,
  reason: 'partial' | 'replaced' | 'removed',
): string {
  return join(run.checkpoints, `.step-${step}.${reason}-${process.pid}`);
}
