/**
 * What the command `train` does on every host but the first, which prints for all: it trains along and prints nothing
 * but warnings, with this host's name. The exit code is the first one's too: with another one than 0 from any process,
 * `mpirun` would end all at once.
 */
import { train } from '../library/train.js';
import type { TrainOptions } from '../library/train_options.js';
import type { World } from '../parallel/world.js';
import { note } from '../report/printing.js';
import { RunEvents } from '../runs/events.js';
import { obeySignals } from './signals.js';

const SILENT = { note: () => {}, close: () => {} };

export async function trainElsewhere(world: World, options: TrainOptions): Promise<void> {
  const events = new RunEvents();
  const name = world.hosts[world.process]!;
  events.on('warning', (message) => note(`warning: ${name}: ${message}`));
  const signal = obeySignals(SILENT, events, world);
  try {
    await train({ ...options, world, events, signal });
    await world.end(undefined, printFailure);
  } catch (error) {
    await world.end(error, printFailure);
  }
}

/** The line that says why the world ends. */
export function printFailure(line: string): void {
  note(`twotower: ${line}`);
}
