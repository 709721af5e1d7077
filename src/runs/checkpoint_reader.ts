/**
 * Choosing, verifying and reading checkpoints.
 *
 * Nothing here locks, writes or renames: the process that trains may save and remove checkpoints meanwhile.
 * A reader that meets a checkpoint being replaced takes the one that is replaced, or looks again.
 */
import { statSync } from 'node:fs';
import { verifySummedFiles } from '../checksums.js';
import { UserError } from '../errors.js';
import {
  MODEL,
  OPTIMIZER,
  STATE,
  checkpointEntries,
  checkpointFiles,
} from './checkpoint_folder.js';
import type { CheckpointEntry, CheckpointFiles } from './checkpoint_folder.js';
import { readState } from './checkpoint_state.js';
import type { StoredState } from './checkpoint_state.js';
import type { RunFolder } from './layout.js';

/** Which checkpoint: the newest, that of the best test so far, or that of a step. */
export type CheckpointChoice = 'latest' | 'best' | number;

/** A checkpoint that is there; its files are not verified. */
export interface FoundCheckpoint {
  step: number;
  path: string;
  files: CheckpointFiles;
}

/** A checkpoint that is as it was written. */
export interface StoredCheckpoint extends FoundCheckpoint {
  state: StoredState;
}

/** A checkpoint that is no longer as it was written. */
export interface DamagedCheckpoint {
  path: string;
  /** One line that names the file. */
  problem: string;
}

/** How often a reader looks again for a checkpoint that was replaced or removed under its hands. */
const ATTEMPTS = 10;

/**
 * The chosen checkpoint, verified against its checksums.
 *
 * @throws UserError naming the steps that there are, or the file that is damaged
 */
export function chooseCheckpoint(
  run: RunFolder,
  choice: CheckpointChoice = 'latest',
): StoredCheckpoint {
  return withCheckpoint(run, choice, (found) => {
    try {
      return verified(found);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const others = stepsText(run, found.step);
      const remedy =
        others === ''
          ? 'the run has no other checkpoint'
          : `choose another with --checkpoint (there is ${others}), or continue from the last whole one with --resume ${run.path}`;
      throw new UserError(`${error.message}; ${remedy}`, { cause: error });
    }
  });
}

/**
 * Calls `use` with the chosen checkpoint, and again if it was replaced or removed meanwhile.
 *
 * @throws UserError naming the steps that there are; what `use` throws of a checkpoint that stood still
 */
export function withCheckpoint<Result>(
  run: RunFolder,
  choice: CheckpointChoice,
  use: (found: FoundCheckpoint) => Result,
): Result {
  for (let attempt = 1; ; attempt++) {
    const found = find(run, choice);
    const version = versionOf(found.path);
    try {
      return use(found);
    } catch (error) {
      const stoodStill = version !== undefined && versionOf(found.path) === version;
      if (stoodStill || attempt === ATTEMPTS) throw error;
    }
  }
}

/**
 * The newest checkpoint that is as it was written, and the newer ones that are not.
 *
 * @throws UserError if the run has none
 */
export function lastWholeCheckpoint(run: RunFolder): {
  checkpoint: StoredCheckpoint;
  damaged: DamagedCheckpoint[];
} {
  const damaged: DamagedCheckpoint[] = [];
  for (const entry of readableEntries(run).reverse()) {
    if (entry.kind === 'suspect') continue;
    try {
      return { checkpoint: verified(foundAt(entry)), damaged };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      damaged.push({ path: entry.path, problem: error.message });
    }
  }
  const [first] = damaged;
  if (first === undefined) throw noCheckpoint(run);
  throw new UserError(
    `${first.problem}, and no earlier checkpoint of ${run.path} is whole: start a new run`,
  );
}

/** The newest checkpoint, unverified; undefined if there is none. */
export function latestCheckpointPath(run: RunFolder): string | undefined {
  return readableEntries(run).findLast(({ kind }) => kind !== 'suspect')?.path;
}

/** Whether a checkpoint's own parameters were tested; false if its state cannot be read. */
export function wasTested(path: string): boolean {
  try {
    const { progress } = readState(checkpointFiles(path).state);
    return progress.lastTest?.step === progress.step;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

/** Checkpoints that may be read, ascending: one that is being replaced counts until its successor is there. */
function readableEntries(run: RunFolder): CheckpointEntry[] {
  const entries = checkpointEntries(run);
  const isThere = (step: number) =>
    entries.some((other) => other.step === step && other.kind === 'whole');
  return entries.filter(
    ({ step, kind }) =>
      kind === 'whole' || kind === 'suspect' || (kind === 'replaced' && !isThere(step)),
  );
}

function find(run: RunFolder, choice: CheckpointChoice): FoundCheckpoint {
  const entries = readableEntries(run);
  const trusted = entries.filter(({ kind }) => kind !== 'suspect');
  if (choice === 'latest') {
    const latest = trusted.at(-1);
    if (latest === undefined) throw noCheckpoint(run);
    return foundAt(latest);
  }
  const step = choice === 'best' ? bestStep(run, trusted) : choice;
  // One that was trained again after it was set aside is preferred.
  const chosen =
    trusted.find((entry) => entry.step === step) ?? entries.find((entry) => entry.step === step);
  if (chosen !== undefined) return foundAt(chosen);
  if (entries.length === 0) throw noCheckpoint(run);
  const what =
    choice === 'best' ? `checkpoint of step ${step}, its best,` : `checkpoint of step ${step}`;
  throw new UserError(
    `${run.path} has no ${what} (there is ${stepsText(run)}): choose one of these`,
  );
}

/** What the newest state that can be read says. */
function bestStep(run: RunFolder, trusted: CheckpointEntry[]): number {
  if (trusted.length === 0) throw noCheckpoint(run);
  for (const { path } of trusted.toReversed()) {
    let state: StoredState;
    try {
      state = readState(checkpointFiles(path).state);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      continue;
    }
    if (state.progress.best !== null) return state.progress.best.step;
    break;
  }
  throw new UserError(
    `${run.path} has no best checkpoint, because there has been no test yet: choose another (there is ${stepsText(run)})`,
  );
}

function foundAt({ step, path }: CheckpointEntry): FoundCheckpoint {
  return { step, path, files: checkpointFiles(path) };
}

/** @throws UserError naming the file that is damaged, missing, or another step's */
function verified(found: FoundCheckpoint): StoredCheckpoint {
  const { step, path, files } = found;
  verifySummedFiles(path, [MODEL, OPTIMIZER, STATE]);
  const state = readState(files.state);
  if (state.progress.step !== step) {
    throw new UserError(
      `${files.state} is of step ${state.progress.step}: ${path} is another checkpoint, renamed`,
    );
  }
  return { ...found, state };
}

/** Such as `5, 10, 12 (suspect)`. */
function stepsText(run: RunFolder, but?: number): string {
  return readableEntries(run)
    .filter(({ step }) => step !== but)
    .map(({ step, kind }) => (kind === 'suspect' ? `${step} (suspect)` : String(step)))
    .join(', ');
}

function noCheckpoint(run: RunFolder): UserError {
  const suspects = stepsText(run);
  return new UserError(
    suspects === ''
      ? `${run.path} has no checkpoint yet: train it for longer, or start a new run`
      : `${run.path} has no checkpoint from before it diverged: choose one by its step with --checkpoint (there is ${suspects}), or start a new run`,
  );
}

/** Changes if another folder takes this one's name; undefined if there is none. */
function versionOf(path: string): string | undefined {
  const status = statSync(path, { throwIfNoEntry: false });
  return status && `${status.ino} ${status.ctimeMs}`;
}
