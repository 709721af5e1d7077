/**
 * Draws a figure of a run as a PNG.
 *
 *     twotower visualize runs/demo
 *     twotower visualize runs/cifar10-quick --neighbours --out neighbours.png
 *     twotower visualize runs/cifar10-quick --layer conv2
 *     twotower visualize runs/cifar10-quick --maps cat.jpg
 */
import { UserError } from '../errors.js';
import { visualize } from '../library/visualize.js';
import { print } from '../report/printing.js';
import { RunEvents } from '../runs/events.js';
import { deviceOptions } from './device_options.js';
import { flag, path, text, wholeNumber } from './option_kinds.js';
import { defineCommand, wordsOf } from './option_table.js';
import { outputOptions, withProgress } from './output_options.js';
import { recipeOptions } from './recipe_options.js';
import { checkpointOption, classesOption, runArgument } from './run_options.js';

/** Options that mean nothing for kernels, which are read from the checkpoint. */
const imageOptions = {
  images: wholeNumber(1, {
    describe: 'Number of test images (default 8 for --predictions, 5 for --neighbours)',
  }),
  data: recipeOptions.data,
  split: recipeOptions.split,
  ...classesOption,
  ...deviceOptions,
};

const searchOption = {
  search: wholeNumber(1, {
    describe: 'Number of training images that --neighbours searches (default 5000)',
  }),
};

export const command = defineCommand({
  command: 'visualize <run>',
  positionals: runArgument,
  options: {
    predictions: flag({
      conflicts: 'neighbours',
      describe: 'Draw test images with their five most probable classes, instead of kernels',
    }),
    neighbours: flag({
      describe: 'Draw test images with the training images nearest to them, instead of kernels',
    }),
    layer: text({
      conflicts: ['predictions', 'neighbours', 'maps'],
      describe: "Draw the kernels of this layer (default: the first layer's, in colour)",
    }),
    maps: path({
      conflicts: ['predictions', 'neighbours'],
      describe: 'Draw what each layer puts out for this image, tower by tower, instead of kernels',
    }),
    out: path({ describe: 'PNG file (default kernels.png, predictions.png … in the run folder)' }),
    ...searchOption,
    ...imageOptions,
    ...checkpointOption,
    quiet: outputOptions.quiet,
  },
  examples: [
    ['visualize runs/demo', "The first layer's kernels, tower by tower"],
    ['visualize runs/demo --layer conv2', 'The kernels of another layer'],
    ['visualize runs/demo --maps picture.png', 'What each layer makes of a picture'],
    ['visualize runs/demo --neighbours', 'The nearest training images'],
  ],
  run: async ({ run, predictions, neighbours, maps, quiet, ...options }, typed) => {
    const figure = predictions ? 'predictions' : neighbours ? 'neighbours' : 'kernels';
    const [search] = figure === 'neighbours' ? [] : wordsOf(searchOption, typed);
    if (search !== undefined) throw new UserError(`${search} goes with --neighbours only`);
    const [unused] = figure === 'kernels' ? wordsOf(imageOptions, typed) : [];
    if (unused !== undefined) {
      const why = maps === undefined ? 'kernels need no images' : '--maps has its image';
      throw new UserError(`${unused} needs --predictions or --neighbours; ${why}`);
    }
    const events = new RunEvents();
    const file = await withProgress({ quiet }, events, () =>
      visualize(run, { ...options, figure, maps, events }),
    );
    print(file);
  },
});
