/**
 * The signals that a training run obeys.
 *
 * - INT (Ctrl-C), TERM, HUP and XCPU: finish the step, save and stop. The second one ends the process at once.
 * - USR1 and USR2, which Slurm sends as a warning: save at once and go on.
 *
 * HUP is ignored under `nohup`. Node resets an ignored signal when it starts, so `nohup` is recognised by what
 * it leaves: standard input opened for writing only, or its name in the environment variable `_`.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { endProcess } from '../backend/process_end.js';
import type { World } from '../parallel/world.js';
import type { RunEvents } from '../runs/events.js';

/** As shells report a process that a signal ended: 128 and the signal's number. */
export const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143, SIGXCPU: 152 } as const;

type StopSignal = keyof typeof EXIT_CODES;

/** What the signals need of the display. */
interface Notes {
  note(message: string): void;
  close(): void;
}

/**
 * Installs the handlers.
 *
 * @param events gets `saveNow`
 * @param world of which a launcher ends all processes, if one has ended: those that are silent are looked for then
 * @returns aborted when the run is to stop; the reason is the signal's name
 */
export function obeySignals(notes: Notes, events: RunEvents, world: World): AbortSignal {
  const controller = new AbortController();
  const stop = (signal: StopSignal): void => {
    world.callTheRoll();
    // A launcher passes a terminal's INT on and adds its TERM: only one process alone has a second one.
    if (controller.signal.aborted && !world.isAlone) return;
    if (controller.signal.aborted) {
      notes.close();
      endProcess(EXIT_CODES[signal]);
    }
    notes.note('finishing this step and saving; press again to stop at once');
    controller.abort(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGXCPU'] as const) process.on(signal, stop);
  process.on('SIGHUP', isUnderNohup() ? () => {} : stop);
  // A listener for USR1 also keeps Node from opening its debugger's port.
  for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
    process.on(signal, () => events.emit('saveNow'));
  }
  return controller.signal;
}

const ACCESS_MODE = 0o3;
const WRITE_ONLY = 0o1;

/** Whether `nohup` started this process, also by way of npm and a shell. */
function isUnderNohup(): boolean {
  if (basename(process.env['_'] ?? '') === 'nohup') return true;
  try {
    const [, flags = '0'] = /^flags:\s*(\d+)/m.exec(readFileSync('/proc/self/fdinfo/0', 'utf8'))!;
    const isWriteOnly = (Number.parseInt(flags, 8) & ACCESS_MODE) === WRITE_ONLY;
    return isWriteOnly && readlinkSync('/proc/self/fd/0') === '/dev/null';
  } catch {
    // No /proc, or no standard input.
    return false;
  }
}
