/**
 *     twotower evaluate runs/demo
 *     twotower evaluate runs/cifar10-quick --data DIR --json
 */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import type { Crops } from '../data/views.js';
import { evaluate } from '../library/evaluate.js';
import { print, printJson } from '../report/printing.js';
import { testText } from '../report/test_result.js';
import { terminalWidth } from '../report/text.js';
import { RunEvents } from '../runs/events.js';
import { configurationOptions, recipeFrom, wholeNumber } from './options.js';
import type { ConfigurationArguments } from './options.js';
import { outputOptions, withProgress } from './output_options.js';
import type { OutputArguments } from './output_options.js';
import { devicesFrom, placementOptions } from './placement_options.js';
import type { PlacementArguments } from './placement_options.js';

const { data, batch } = configurationOptions;
const options = {
  data,
  batch,
  ...placementOptions,
  crops: {
    requiresArg: true,
    choices: ['1', '10'],
    describe: "Views of each image, averaged; without it as in the run's last test",
  },
  dropout: {
    type: 'boolean',
    describe: "Leave dropout on, as the seed's evaluation did",
  },
  'test-limit': {
    requiresArg: true,
    describe: 'Test only the first so many images',
  },
  json: { type: 'boolean', default: false, describe: 'Print one JSON object, all else on stderr' },
  ...outputOptions,
} as const;

interface EvaluateArguments
  extends Pick<ConfigurationArguments, 'data' | 'batch'>, PlacementArguments, OutputArguments {
  run: string;
  crops?: '1' | '10' | undefined;
  dropout?: boolean | undefined;
  testLimit?: string | undefined;
  json?: boolean | undefined;
}

export const command: CommandModule<object, EvaluateArguments> = {
  command: 'evaluate <run>',
  describe: "Test a run's latest checkpoint",
  builder: (yargs) =>
    yargs
      .positional('run', { type: 'string', demandOption: true, describe: 'Run folder' })
      .options(options)
      .example('$0 evaluate runs/demo', 'On the images it was tested on in training')
      .example(
        '$0 evaluate runs/cifar10-seed --data DIR --json',
        'On others, for a program',
      ) as never,
  handler: run,
};

async function run(given: ArgumentsCamelCase<EvaluateArguments>): Promise<void> {
  const events = new RunEvents();
  const { data, batch } = recipeFrom({ data: given.data, batch: given.batch });
  const testLimit = wholeNumber('test-limit', given.testLimit, 1);
  const crops = given.crops === undefined ? undefined : (Number(given.crops) as Crops);
  const { dropout } = given;
  const options = { data, batch, ...devicesFrom(given), crops, dropout, testLimit, events };
  const result = await withProgress(given, events, (progress) => {
    events.on('testing', ({ images, of }) =>
      progress.show({ label: 'testing', unit: 'images', done: images, of }),
    );
    return evaluate(given.run, options);
  });
  if (given.json === true) {
    printJson(result);
  } else {
    print(testText(result, terminalWidth()));
  }
}
