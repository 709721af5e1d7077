/**
 * Tests a checkpoint of a run, or the average of several runs.
 *
 *     twotower evaluate runs/demo
 *     twotower evaluate runs/demo runs/demo-2 --out probabilities.csv
 *     twotower evaluate runs/cifar10-quick --data DIR --json
 */
import { evaluate } from '../library/evaluate.js';
import { print, printJson } from '../report/printing.js';
import { evaluationText } from '../report/test_result.js';
import { terminalWidth } from '../report/text.js';
import { RunEvents } from '../runs/events.js';
import { deviceOptions } from './device_options.js';
import { flag, path, paths, wholeNumber } from './option_kinds.js';
import { defineCommand } from './option_table.js';
import { jsonOption, outputOptions, withProgress } from './output_options.js';
import { recipeOptions } from './recipe_options.js';
import { checkpointOption, classesOption, cropsOption } from './run_options.js';

export const command = defineCommand({
  command: 'evaluate <runs..>',
  positionals: {
    runs: paths({
      describe:
        'Run folders, or folders of train --seeds; the probabilities of several are averaged',
    }),
  },
  options: {
    data: recipeOptions.data,
    split: recipeOptions.split,
    batch: recipeOptions.batch,
    ...deviceOptions,
    ...checkpointOption,
    ...classesOption,
    ...cropsOption,
    dropout: flag({ describe: 'Keep dropout active, as the reference PyTorch code did' }),
    testLimit: wholeNumber(1, {
      describe: 'Test on a random sample of this many images (default all)',
    }),
    out: path({ describe: "CSV file for every image's probabilities" }),
    ...jsonOption,
    ...outputOptions,
  },
  examples: [
    ['evaluate runs/demo', 'On the images that training tested on'],
    ['evaluate runs/demo runs/demo-2', 'Each run, and the average of their probabilities'],
    ['evaluate runs/cifar10-seed --data DIR --json', 'On other images, as JSON'],
  ],
  run: async ({ runs, json, quiet, verbose, ...options }) => {
    const events = new RunEvents();
    const result = await withProgress({ quiet, verbose }, events, (progress) => {
      events.on('testing', ({ images, of }) =>
        progress.show({ label: 'testing', unit: 'images', done: images, of }),
      );
      return evaluate(runs, { ...options, events });
    });
    if (json) printJson(result);
    else print(evaluationText(result, terminalWidth()));
  },
});
