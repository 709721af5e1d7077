/**
 * Prints the most probable classes of images.
 *
 *     twotower predict runs/demo cat.jpg dog.png
 *     twotower predict runs/cifar10-11pct *.jpg --crops 10 --json
 */
import { predict } from '../library/predict.js';
import { note, print, printJson } from '../report/printing.js';
import { formatPercent, formatTable, terminalWidth } from '../report/text.js';
import { RunEvents } from '../runs/events.js';
import { deviceOptions } from './device_options.js';
import { flag, paths } from './option_kinds.js';
import { defineCommand } from './option_table.js';
import { outputOptions, withProgress } from './output_options.js';
import { checkpointOption, cropsOption, runArgument } from './run_options.js';

export const command = defineCommand({
  command: 'predict <run> <files..>',
  positionals: { ...runArgument, files: paths({ describe: 'Image files and folders of images' }) },
  options: {
    ...deviceOptions,
    ...checkpointOption,
    ...cropsOption,
    json: flag({ describe: 'Print one JSON array on stdout, everything else on stderr' }),
    ...outputOptions,
  },
  examples: [
    ['predict runs/demo picture.png', 'The five most probable classes'],
    ['predict runs/demo *.png --json', 'As JSON'],
  ],
  run: async ({ run, files, json, quiet, verbose, ...options }) => {
    const events = new RunEvents();
    const predictions = await withProgress({ quiet, verbose }, events, () =>
      predict(run, files, { ...options, events }),
    );
    if (predictions.some(({ error }) => error !== undefined)) process.exitCode = 1;
    if (json) return printJson(predictions);
    for (const { file, error, top } of predictions) {
      if (error !== undefined) {
        note(`${file} cannot be decoded (${error})`);
        continue;
      }
      const rows = top.map(({ class: name, probability }) => [name, formatPercent(probability)]);
      print(formatTable([file, 'probability'], rows, terminalWidth()));
    }
  },
});
