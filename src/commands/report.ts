/**
 *     twotower report runs/demo
 *     twotower report runs/split runs/grouped --out both.html
 */
import { join } from 'node:path';
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { writeReport } from '../library/report.js';
import { print } from '../report/printing.js';

const options = {
  out: {
    requiresArg: true,
    describe: 'HTML file; without it RUN/report.html, or report.html of several runs',
  },
} as const;

interface ReportArguments {
  runs: string[];
  out?: string | undefined;
}

export const command: CommandModule<object, ReportArguments> = {
  command: 'report <runs..>',
  describe: 'Write runs as one HTML page: curves, kernels, confusion, where the time went',
  builder: (yargs) =>
    yargs
      .positional('runs', { type: 'string', demandOption: true, describe: 'Run folders' })
      .options(options)
      .example('$0 report runs/demo', 'Writes runs/demo/report.html')
      .example(
        '$0 report runs/demo runs/demo-2 --out both.html',
        'Two runs over each other',
      ) as never,
  handler: run,
};

async function run({ runs, out }: ArgumentsCamelCase<ReportArguments>): Promise<void> {
  const file = out ?? (runs.length === 1 ? join(runs[0]!, 'report.html') : 'report.html');
  await writeReport(runs, file);
  print(file);
}
