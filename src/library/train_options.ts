/** What a caller asks of `train`, and what of it is refused. */
import { UserError } from '../errors.js';
import { refuseTakenRunFolder } from '../runs/run_path.js';
import type { CheckpointChoice } from '../runs/checkpoint_reader.js';
import type { World } from '../parallel/world.js';
import type { RunEvents } from '../runs/events.js';
import type { Devices } from './devices.js';
import type { Recipe } from './recipe.js';

/** A timer cannot wait for longer. */
const LONGEST_MINUTES = 35_000;

/**
 * How processes train together. `replicas`: each has the whole network and a share of every batch. `towers`: each has
 * some of the network's towers; if there are more processes than that takes, they form several such replicas. `hybrid`:
 * each has the convolutional layers and a share of every batch, and the fully-connected layers are divided among all.
 */
export const PARALLELISMS = ['replicas', 'towers', 'hybrid'] as const;

export type Parallelism = (typeof PARALLELISMS)[number];

export interface TrainOptions extends Recipe, Devices {
  /** New run folder; if omitted, `runs/PRESET`, numbered if that is taken. */
  out?: string | undefined;
  /** Run folder to resume, on any devices; excludes `out`, `init`, `preset` and `config`. */
  resume?: string | undefined;
  /** With `resume`: file of lines `NAME IN THE DATA, NAME IN THE RUN`, if the data calls its classes otherwise. */
  classes?: string | undefined;
  /** Initial parameters: a safetensors file, as `export` writes it, or a run folder. */
  init?: string | undefined;
  /** With `init`: layers that begin with new values, such as the last one for other classes. */
  initExcept?: string[] | undefined;
  /** Which checkpoint of the run that `resume` or `init` names (default `'latest'`). */
  checkpoint?: CheckpointChoice | undefined;
  /** Steps between checkpoints, besides the one at the end of each epoch. */
  checkpointEvery?: number | undefined;
  /** Minutes between checkpoints by time; 0 turns them off (default 10). */
  checkpointMinutes?: number | undefined;
  /** Test on a random sample of this many images. */
  testLimit?: number | undefined;
  /** New file for a trace of every step, in Chrome's format. */
  trace?: string | undefined;
  /** How many times the workers are restarted from the last checkpoint if one fails (default 0). */
  restarts?: number | undefined;
  /** Milliseconds without progress after which the workers count as hung (default 300,000). */
  exchangeTimeoutMs?: number | undefined;
  /** How many batches of the run may be skipped because the loss or a gradient is not finite (default 0). */
  skipNonfinite?: number | undefined;
  /** How the processes of `world` share the work (default `replicas`). */
  parallelism?: Parallelism | undefined;
  /** The processes on many hosts that train together, from `joinWorld` (default: this one alone). */
  world?: World | undefined;
  /** Emits every step, test and checkpoint. */
  events?: RunEvents | undefined;
  /** Once aborted, `train` finishes the step, saves a checkpoint and ends the run as `interrupted`. */
  signal?: AbortSignal | undefined;
}

/** @throws UserError for values that no run can have */
export function refuseImpossibleOptions(options: TrainOptions): void {
  for (const name of ['testLimit', 'checkpointEvery'] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isInteger(value) && value >= 1)) {
      throw new UserError(`${name} must be a whole number, at least 1; it is ${value}`);
    }
  }
  const { checkpointMinutes: minutes = 0 } = options;
  if (!(minutes >= 0 && minutes <= LONGEST_MINUTES)) {
    throw new UserError(
      `checkpointMinutes must be between 0 and ${LONGEST_MINUTES}; it is ${minutes}`,
    );
  }
  if (options.initExcept !== undefined && options.init === undefined) {
    throw new UserError('--init-except names layers that --init leaves out: give --init');
  }
  const { world, restarts = 0, out } = options;
  if (world?.isAlone === false && restarts > 0) {
    throw new UserError(
      '--restarts is for one host: where several train together, a failure ends all of them, and --resume starts them again',
    );
  }
  if (out !== undefined && world?.isFirst !== false) refuseTakenRunFolder(out);
}
