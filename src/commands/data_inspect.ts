/** `twotower data inspect DIR`: see src/library/inspect_data.ts. */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { inspectData, RunEvents } from '../index.js';
import type { Extent } from '../index.js';
import { print } from '../report/printing.js';
import { formatCount, formatTable, terminalWidth } from '../report/text.js';
import { outputOptions, withProgress } from './output_options.js';
import type { OutputArguments } from './output_options.js';

interface InspectArguments extends Pick<OutputArguments, 'quiet'> {
  dir: string;
  preset?: string | undefined;
  out?: string | undefined;
}

export const command: CommandModule<object, InspectArguments> = {
  command: 'inspect <dir>',
  describe: 'Count the images of each class, and draw some before and after augmentation',
  builder: (yargs) =>
    yargs
      .positional('dir', { type: 'string', demandOption: true, describe: 'Any folder for --data' })
      .options({
        preset: {
          requiresArg: true,
          describe: 'Whose augmentation is drawn; without it cifar10-quick or alexnet-paper',
        },
        out: { requiresArg: true, describe: 'PNG file with samples; without it none is drawn' },
        quiet: outputOptions.quiet,
      })
      .example('$0 data inspect data', 'Counts and statistics')
      .example('$0 data inspect data --out samples.png', 'And a picture') as never,
  handler: run,
};

async function run(given: ArgumentsCamelCase<InspectArguments>): Promise<void> {
  const { dir, preset, out } = given;
  const events = new RunEvents();
  const { classes, sizes, statistics } = await withProgress(given, events, () =>
    inspectData({ directory: dir, preset, out, events }),
  );
  const total = (split: 'train' | 'test') =>
    classes.reduce((sum, counts) => sum + counts[split], 0);
  const rows = [...classes, { name: 'all', train: total('train'), test: total('test') }].map(
    ({ name, train, test }) => [name, formatCount(train), formatCount(test)],
  );
  print(formatTable(['class', 'train', 'test'], rows, terminalWidth()));
  print(
    `sizes of ${formatCount(sizes.images)} training images: width ${extentText(sizes.width)}, height ${extentText(sizes.height)}`,
  );
  const { images, height, width, mean, eigenvalues, eigenvectors } = statistics;
  const numbers = (values: number[]) => values.map((value) => value.toFixed(3)).join(' ');
  print(`statistics of ${formatCount(images)} training images at ${width}×${height}, 0 … 255`);
  print(`mean (R G B)            ${numbers(mean)}`);
  eigenvalues.forEach((value, index) => {
    print(`deviation ${Math.sqrt(value).toFixed(3)} along  ${numbers(eigenvectors[index]!)}`);
  });
  if (out !== undefined) print(out);
}

function extentText({ least, median, most }: Extent): string {
  return least === most ? `${least}` : `${least} … ${most}, in the middle ${median}`;
}
