/**
 *     twotower predict runs/demo cat.jpg dog.png
 *     twotower predict runs/cifar10-11pct *.jpg --crops 10 --json
 */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import type { Crops } from '../data/views.js';
import { predict } from '../library/predict.js';
import { print, printJson } from '../report/printing.js';
import { formatPercent, formatTable, terminalWidth } from '../report/text.js';
import { RunEvents } from '../runs/events.js';
import { outputOptions, withProgress } from './output_options.js';
import type { OutputArguments } from './output_options.js';
import { devicesFrom, placementOptions } from './placement_options.js';
import type { PlacementArguments } from './placement_options.js';

interface PredictArguments extends PlacementArguments, OutputArguments {
  run: string;
  files: string[];
  crops?: '1' | '10' | undefined;
  json?: boolean | undefined;
}

export const command: CommandModule<object, PredictArguments> = {
  command: 'predict <run> <files..>',
  describe: "Print the five classes that a run's network finds most probable for each image",
  builder: (yargs) =>
    yargs
      .positional('run', { type: 'string', demandOption: true, describe: 'Run folder' })
      .positional('files', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'Image files',
      })
      .options({
        ...placementOptions,
        crops: {
          requiresArg: true,
          choices: ['1', '10'],
          describe: "Views of each image, averaged; without it as in the run's last test",
        },
        json: {
          type: 'boolean',
          default: false,
          describe: 'Print one JSON array, all else on stderr',
        },
        ...outputOptions,
      })
      .example('$0 predict runs/demo picture.png', 'The five most probable classes')
      .example('$0 predict runs/demo *.png --json', 'For a program') as never,
  handler: run,
};

async function run(given: ArgumentsCamelCase<PredictArguments>): Promise<void> {
  const events = new RunEvents();
  const crops = given.crops === undefined ? undefined : (Number(given.crops) as Crops);
  const predictions = await withProgress(given, events, () =>
    predict(given.run, given.files, { ...devicesFrom(given), crops, events }),
  );
  if (given.json === true) {
    printJson(predictions);
    return;
  }
  for (const { file, top } of predictions) {
    const rows = top.map(({ class: name, probability }) => [name, formatPercent(probability)]);
    print(formatTable([file, 'probability'], rows, terminalWidth()));
  }
}
