/**
 * What a command does on every host but the first, which prints for all: it works along and prints nothing but warnings,
 * with this host's name. The exit code is the first one's too: with another one than 0 from any process, `mpirun` would
 * end all at once.
 */
import type { World } from '../parallel/world.js';
import { note } from '../report/printing.js';
import { RunEvents } from '../runs/events.js';

/** @param work this host's part */
export async function workElsewhere(
  world: World,
  work: (events: RunEvents) => Promise<unknown>,
): Promise<void> {
  const events = new RunEvents();
  const name = world.hosts[world.process]!;
  events.on('warning', (message) => note(`warning: ${name}: ${message}`));
  try {
    await work(events);
    await world.end(undefined, printFailure);
  } catch (error) {
    await world.end(error, printFailure);
  }
}

/** The line that says why the world ends. */
export function printFailure(line: string): void {
  note(`twotower: ${line}`);
}
