/**
 *     twotower visualize runs/demo
 *     twotower visualize runs/cifar10-quick --neighbours --out neighbours.png
 */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { UserError } from '../errors.js';
import { visualize } from '../library/visualize.js';
import type { VisualizeOptions } from '../library/visualize.js';
import { print } from '../report/printing.js';
import { RunEvents } from '../runs/events.js';
import { configurationOptions, recipeFrom, wholeNumber } from './options.js';
import type { ConfigurationArguments } from './options.js';
import { outputOptions, withProgress } from './output_options.js';
import type { OutputArguments } from './output_options.js';
import { devicesFrom, placementOptions } from './placement_options.js';
import type { PlacementArguments } from './placement_options.js';

const options = {
  predictions: {
    type: 'boolean',
    conflicts: 'neighbours',
    describe: 'Instead of kernels: test images with their five most probable classes',
  },
  neighbours: {
    type: 'boolean',
    describe: 'Instead of kernels: test images with the training images nearest to them',
  },
  out: { requiresArg: true, describe: 'PNG file; without it RUN/kernels.png and so on' },
  images: { requiresArg: true, describe: 'Test images; without it 8 predictions, 5 neighbours' },
  search: {
    requiresArg: true,
    describe: 'Training images that --neighbours searches; without it 5000',
  },
  data: configurationOptions.data,
  ...placementOptions,
  quiet: outputOptions.quiet,
} as const;

interface VisualizeArguments
  extends Pick<ConfigurationArguments, 'data'>, PlacementArguments, Pick<OutputArguments, 'quiet'> {
  run: string;
  predictions?: boolean | undefined;
  neighbours?: boolean | undefined;
  out?: string | undefined;
  images?: string | undefined;
  search?: string | undefined;
}

export const command: CommandModule<object, VisualizeArguments> = {
  command: 'visualize <run>',
  describe: "Draw a run's first kernels, its predictions or nearest images as a PNG",
  builder: (yargs) =>
    yargs
      .positional('run', { type: 'string', demandOption: true, describe: 'Run folder' })
      .options(options)
      .example('$0 visualize runs/demo', "The first layer's kernels, tower by tower")
      .example('$0 visualize runs/demo --neighbours', 'Nearest training images') as never,
  handler: run,
};

/** An option that would change nothing is a mistake. */
function refuseUnused(
  given: ArgumentsCamelCase<VisualizeArguments>,
  figure: NonNullable<VisualizeOptions['figure']>,
): void {
  if (figure !== 'neighbours' && given.search !== undefined) {
    throw new UserError('--search goes with --neighbours alone');
  }
  if (figure !== 'kernels') return;
  // The kernels are read from the checkpoint: nothing is computed and no image looked at.
  const unused = ['images', 'data', ...Object.keys(placementOptions)].find(
    (name) => given[name] !== undefined,
  );
  if (unused !== undefined) {
    throw new UserError(`--${unused} goes with --predictions or --neighbours; kernels need none`);
  }
}

async function run(given: ArgumentsCamelCase<VisualizeArguments>): Promise<void> {
  const events = new RunEvents();
  const { data } = recipeFrom({ data: given.data });
  const figure = given.predictions ? 'predictions' : given.neighbours ? 'neighbours' : 'kernels';
  refuseUnused(given, figure);
  const images = wholeNumber('images', given.images, 1);
  const search = wholeNumber('search', given.search, 1);
  const shown = { figure, images, search, out: given.out } as const;
  const file = await withProgress(given, events, () =>
    visualize(given.run, { ...shown, data, ...devicesFrom(given), events }),
  );
  print(file);
}
