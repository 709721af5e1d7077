/** What a caller asks of `train`. */
import type { RunEvents } from '../runs/events.js';
import type { Devices } from './devices.js';
import type { Recipe } from './recipe.js';

export interface TrainOptions extends Recipe, Devices {
  /** New run folder; without it `runs/PRESET`, numbered if taken. */
  out?: string | undefined;
  /** Run folder to go on with, on any devices; excludes `out`, `init`, `preset` and `config`. */
  resume?: string | undefined;
  /** Safetensors file with the initial parameters, as `export` writes it. */
  init?: string | undefined;
  /** Steps between checkpoints, besides the one at each epoch's end. */
  checkpointEvery?: number | undefined;
  /** Minutes between checkpoints by time; 0 for none (default 10). */
  checkpointMinutes?: number | undefined;
  /** Test only a sample of so many images. */
  testLimit?: number | undefined;
  /** New file for a trace of every step, in Chrome's format. */
  trace?: string | undefined;
  /** How often workers of which one failed are started again, from the last checkpoint; 0 unless given. */
  restarts?: number | undefined;
  /** Milliseconds after which workers that do not move on are taken to hang; 5 minutes unless given. */
  exchangeTimeoutMs?: number | undefined;
  /** How many batches of the run may be left out because loss or a gradient was not finite; 0 unless given. */
  skipNonfinite?: number | undefined;
  /** Hears of every step, test and checkpoint. */
  events?: RunEvents | undefined;
  /** Aborted: the step is finished, a checkpoint saved, and the run ends as `interrupted`. */
  signal?: AbortSignal | undefined;
}
