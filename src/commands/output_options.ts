/** The options that say how much a long command tells of its course. */
import type { Options } from 'yargs';
import { ProgressDisplay } from '../report/progress.js';
import type { Verbosity } from '../report/progress.js';
import type { RunEvents } from '../runs/events.js';

const output = { group: 'Output:' } as const;

export const outputOptions = {
  quiet: {
    ...output,
    type: 'boolean',
    conflicts: 'verbose',
    describe: 'Print results, warnings and errors alone',
  },
  verbose: {
    ...output,
    type: 'boolean',
    describe: 'Print every step, and where its time goes',
  },
} as const satisfies Record<string, Options>;

/** Of the commands that take steps. */
export const traceOption = {
  trace: {
    ...output,
    requiresArg: true,
    describe: 'New file for a trace of every step, for ui.perfetto.dev',
  },
} as const satisfies Record<string, Options>;

export type OutputArguments = Verbosity;

/** Runs `work` with a display of the events' warnings and progress that is taken away however it ends. */
export async function withProgress<Result>(
  { quiet, verbose }: OutputArguments,
  events: RunEvents,
  work: (progress: ProgressDisplay) => Promise<Result>,
): Promise<Result> {
  const progress = new ProgressDisplay({ quiet, verbose });
  events.on('warning', (message) => progress.note(`warning: ${message}`));
  events.on('progress', ({ doing, ...report }) => progress.show({ label: doing, ...report }));
  try {
    return await work(progress);
  } finally {
    progress.close();
  }
}
