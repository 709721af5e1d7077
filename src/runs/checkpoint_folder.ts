/**
 * The folder `checkpoints/` of a run: what its entries are called and what a checkpoint holds.
 *
 *     step-N/           model.safetensors, optimizer.safetensors, state.msgpack and their checksums.json
 *     step-N.suspect/   whole, but read only if it is asked for by its step
 *     step-N.damaged/   no longer as it was written; never read
 *     .step-N.*-PID/    being written (partial), replaced or removed
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { UserError, messageOf } from '../errors.js';
import type { RunFolder } from './layout.js';

export const MODEL = 'model.safetensors';
export const OPTIMIZER = 'optimizer.safetensors';
export const STATE = 'state.msgpack';

/** The files of a checkpoint. */
export interface CheckpointFiles {
  /** Safetensors of the canonical parameters (src/model/network.ts). */
  model: string;
  /** Safetensors of their momentum buffers: the same names and shapes. */
  optimizer: string;
  state: string;
}

export function checkpointFiles(path: string): CheckpointFiles {
  return {
    model: join(path, MODEL),
    optimizer: join(path, OPTIMIZER),
    state: join(path, STATE),
  };
}

type Mark = 'suspect' | 'damaged';
type Passing = 'partial' | 'replaced' | 'removed';

/** An entry of `checkpoints/`. */
export interface CheckpointEntry {
  step: number;
  path: string;
  kind: 'whole' | Mark | Passing;
}

const VISIBLE = /^step-(\d+)(?:\.(suspect|damaged))?$/;
const PASSING = /^\.step-(\d+)\.(partial|replaced|removed)-\d+$/;

/** All entries that are checkpoints or on their way, ascending by step; none if there is no folder. */
export function checkpointEntries(run: RunFolder): CheckpointEntry[] {
  return namesIn(run.checkpoints)
    .flatMap((name): CheckpointEntry[] => {
      const [, step, kind = 'whole'] = VISIBLE.exec(name) ?? PASSING.exec(name) ?? [];
      if (step === undefined) return [];
      const path = join(run.checkpoints, name);
      return [{ step: Number(step), path, kind: kind as CheckpointEntry['kind'] }];
    })
    .sort((one, other) => one.step - other.step);
}

export function checkpointPath(run: RunFolder, step: number, mark?: Mark): string {
  return join(run.checkpoints, `step-${step}${mark === undefined ? '' : `.${mark}`}`);
}

export function passingPath(run: RunFolder, step: number, kind: Passing): string {
  return join(run.checkpoints, `.step-${step}.${kind}-${process.pid}`);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new UserError(`cannot read ${folder}: ${messageOf(error)}`, { cause: error });
  }
}
