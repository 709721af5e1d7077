/**
 * Finding, verifying and choosing the checkpoints of a run, for readers and for resuming.
 *
 *     checkpoints/step-N/           model.safetensors, optimizer.safetensors, state.msgpack, checksums.json
 *     checkpoints/step-N.suspect/   whole, but resumed from only if it is asked for by its step
 *     checkpoints/step-N.damaged/   no longer as it was written; never read
 *     checkpoints/.step-N.*         being written, replaced or removed
 *
 * Nothing here locks, writes or renames: the process that trains may save and remove checkpoints meanwhile.
 */
import type { StoredState } from './checkpoint_state.js';
import type { RunFolder } from './layout.js';

/** Which checkpoint: the newest, that of the best test so far, or that of a step. */
export type CheckpointChoice = 'latest' | 'best' | number;

/** The files of a checkpoint folder. */
export interface CheckpointFiles {
  /** Safetensors of the canonical parameters (src/model/network.ts). */
  model: string;
  /** Safetensors of their momentum buffers: the same names and shapes. */
  optimizer: string;
  state: string;
}

/** A checkpoint that is as it was written. */
export interface StoredCheckpoint {
  path: string;
  files: CheckpointFiles;
  state: StoredState;
}

/** A checkpoint that is no longer as it was written. */
export interface DamagedCheckpoint {
  path: string;
  /** One line that names the file. */
  problem: string;
}

/**
 * The chosen checkpoint, verified against its checksums.
 *
 * @throws UserError naming the steps that there are, or the file that is damaged
 */
export declare function chooseCheckpoint(
  run: RunFolder,
  choice?: CheckpointChoice,
): StoredCheckpoint;

/**
 * The newest checkpoint that is as it was written, and the newer ones that are not.
 *
 * @throws UserError if the run has none
 */
export declare function lastWholeCheckpoint(run: RunFolder): {
  checkpoint: StoredCheckpoint;
  damaged: DamagedCheckpoint[];
};
