/**
 * Writes checkpoints; runs in a thread of its own (workers/checkpoint.ts).
 *
 * A checkpoint is written into a hidden folder beside its final name, flushed and renamed: what is called
 * `step-N` was whole when it was written, and its checksums tell whether it still is. Removing goes the same
 * way: first a hidden name, then deletion. What a killed process left is cleared before the next save.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { writeSummedFiles } from '../checksums.js';
import { syncFile, syncFolder } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';
import { refuseLost, type HeldLock } from '../folder_lock.js';
import {
  MODEL,
  OPTIMIZER,
  STATE,
  checkpointEntries,
  checkpointPath,
  passingPath,
} from './checkpoint_folder.js';
import { wasTested } from './checkpoint_reader.js';
import { stateBytes } from './checkpoint_state.js';
import type { CheckpointState } from './checkpoint_state.js';
import type { RunFolder } from './layout.js';
import { stepsToRemove } from './retention.js';
import { safetensorsChunks, type TensorMap } from './safetensors.js';

/** A checkpoint could not be written; the earlier ones are as they were. */
export class SaveError extends UserError {}

/** The tensors of a checkpoint: canonical names and shapes. */
export interface CheckpointTensors {
  model: TensorMap;
  /** Momentum buffers. */
  optimizer: TensorMap;
}

/** What a checkpoint is made of; can be sent between threads. */
export interface WriteRequest {
  run: RunFolder;
  lock: HeldLock;
  state: CheckpointState;
  /** Length of `metrics.jsonl` at this checkpoint. */
  metricsBytes: number;
  tensors: CheckpointTensors;
}

/**
 * Writes `checkpoints/step-N`, replacing one of the same step, then removes what `retention.ts` lets go.
 *
 * @returns the checkpoint's path
 * @throws LockLost before the checkpoint has its name; SaveError if it cannot be written
 */
export function writeCheckpoint(request: WriteRequest): string {
  const { run, lock, state } = request;
  const { step, best } = state.progress;
  const partial = passingPath(run, step, 'partial');
  const path = checkpointPath(run, step);
  try {
    // Only this one folder: a run folder that was deleted does not come back with half of its files.
    if (!existsSync(run.checkpoints)) mkdirSync(run.checkpoints);
    clearPassing(run);
    writeInto(partial, request);
    refuseLost(lock);
    if (existsSync(path)) renameSync(path, passingPath(run, step, 'replaced'));
    renameSync(partial, path);
    syncFolder(run.checkpoints);
  } catch (error) {
    removeIfPossible(partial);
    // A lost lock, or a folder that is gone, is the cause of whatever failed.
    refuseLost(lock);
    throw new SaveError(`cannot write the checkpoint ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  try {
    clearPassing(run);
    removeOld(run, best?.step ?? null);
  } catch (error) {
    throw new SaveError(`cannot remove old checkpoints: ${messageOf(error)}`, { cause: error });
  }
  return path;
}

/** What cannot be removed now is hidden, and cleared before the next save. */
function removeIfPossible(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // Why the checkpoint was not written is what matters.
  }
}

function writeInto(folder: string, { run, state, metricsBytes, tensors }: WriteRequest): void {
  // The metrics of the checkpoint's past must outlast a power failure with it.
  if (metricsBytes > 0) syncFile(run.metricsFile);
  mkdirSync(folder);
  writeSummedFiles(folder, {
    [MODEL]: safetensorsChunks(tensors.model, { format: 'pt' }),
    [OPTIMIZER]: safetensorsChunks(tensors.optimizer, { format: 'pt' }),
    [STATE]: [stateBytes(state, metricsBytes)],
  });
  syncFolder(folder);
}

/**
 * Deletes what is hidden, but brings back a replaced checkpoint whose successor a kill kept from its name.
 * Only for the process that holds the lock.
 */
export function clearPassing(run: RunFolder): void {
  for (const { step, path, kind } of checkpointEntries(run)) {
    const name = checkpointPath(run, step);
    if (kind === 'replaced' && !existsSync(name)) renameSync(path, name);
    else if (kind === 'partial' || kind === 'replaced' || kind === 'removed') {
      rmSync(path, { recursive: true });
    }
  }
}

function removeOld(run: RunFolder, best: number | null): void {
  const checkpoints = checkpointEntries(run)
    .filter(({ kind }) => kind === 'whole')
    .map(({ step, path }) => ({ step, isTested: wasTested(path) }));
  for (const step of stepsToRemove(checkpoints, best)) {
    const hidden = passingPath(run, step, 'removed');
    renameSync(checkpointPath(run, step), hidden);
    rmSync(hidden, { recursive: true });
  }
}
