/**
 * Writes runs as one HTML page.
 *
 *     twotower report runs/demo
 *     twotower report runs/split runs/grouped --out both.html
 *     twotower report runs/seeds
 */
import { join } from 'node:path';
import { writeReport } from '../library/report.js';
import { print } from '../report/printing.js';
import { path, paths } from './option_kinds.js';
import { defineCommand } from './option_table.js';
import { checkpointOption } from './run_options.js';

export const command = defineCommand({
  command: 'report <runs..>',
  positionals: { runs: paths({ describe: 'Run folders, or folders of train --seeds' }) },
  options: {
    out: path({ describe: 'HTML file (default RUN/report.html, or report.html for several runs)' }),
    ...checkpointOption,
  },
  examples: [
    ['report runs/demo', 'Writes runs/demo/report.html'],
    ['report runs/demo runs/demo-2 --out both.html', 'Two runs, their curves in the same charts'],
  ],
  run: async ({ runs, out, checkpoint }) => {
    const file = out ?? (runs.length === 1 ? join(runs[0]!, 'report.html') : 'report.html');
    await writeReport(runs, file, checkpoint);
    print(file);
  },
});
