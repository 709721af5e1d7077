/** Counts the images of a data set's classes and draws samples: `twotower data inspect DIR`. */
import { inspectData, RunEvents } from '../index.js';
import type { DataInspection, Extent } from '../index.js';
import { print } from '../report/printing.js';
import { formatCount, formatTable, terminalWidth } from '../report/text.js';
import { path, text } from './option_kinds.js';
import { defineCommand } from './option_table.js';
import { outputOptions, withProgress } from './output_options.js';
import { recipeOptions } from './recipe_options.js';

export const command = defineCommand({
  command: 'inspect <dir>',
  positionals: { dir: path({ describe: 'Any folder that --data takes' }) },
  options: {
    preset: text({
      describe:
        'Preset whose augmentation is drawn (default cifar10-quick for CIFAR-10, otherwise alexnet-paper)',
    }),
    split: recipeOptions.split,
    out: path({ describe: 'PNG file for samples (default: none are drawn)' }),
    quiet: outputOptions.quiet,
  },
  examples: [
    ['data inspect data', 'Counts and statistics'],
    ['data inspect data --out samples.png', 'And a picture'],
  ],
  run: async ({ dir, quiet, ...options }) => {
    const events = new RunEvents();
    const inspection = await withProgress({ quiet }, events, () =>
      inspectData({ directory: dir, ...options, events }),
    );
    printInspection(inspection);
    if (options.out !== undefined) print(options.out);
  },
});

function printInspection({ classes, sizes, statistics }: DataInspection): void {
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
  print(`mean (R G B)                     ${numbers(mean)}`);
  eigenvalues.forEach((value, index) => {
    const deviation = Math.sqrt(value).toFixed(3).padStart(6);
    print(`standard deviation ${deviation} along  ${numbers(eigenvectors[index]!)}`);
  });
}

function extentText({ least, median, most }: Extent): string {
  return least === most ? `${least}` : `${least} … ${most}, median ${median}`;
}
