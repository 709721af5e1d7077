/** The options that say how much a long command prints, and the display that obeys them. */
import { ProgressDisplay } from '../report/progress.js';
import type { Verbosity } from '../report/progress.js';
import type { RunEvents } from '../runs/events.js';
import { flag, path } from './option_kinds.js';

const group = 'Output:';

export const outputOptions = {
  quiet: flag({
    group,
    conflicts: 'verbose',
    describe: 'Print only results, warnings and errors',
  }),
  verbose: flag({ group, describe: 'Print every step, and where its time goes' }),
};

export const traceOption = {
  trace: path({ group, describe: 'New file for a trace of every step, for ui.perfetto.dev' }),
};

export const jsonOption = {
  json: flag({ group, describe: 'Print one JSON object on stdout, everything else on stderr' }),
};

/** Runs `work` with a display of the events' warnings and progress, which is closed however `work` ends. */
export async function withProgress<Result>(
  { quiet, verbose }: Verbosity,
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
