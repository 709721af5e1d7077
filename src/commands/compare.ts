/**
 *     twotower compare --gpus 0,1
 *     twotower compare --preset cifar10-seed --cpu 2 --batch 128 --steps 20 --json
 */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { compare, DEFAULT_PRESET } from '../library/compare.js';
import type { Comparison } from '../library/compare.js';
import { refuseReportFile, writeComparison } from '../library/report.js';
import { print, printJson } from '../report/printing.js';
import { formatBytes, formatCount, formatTable, terminalWidth } from '../report/text.js';
import { RunEvents } from '../runs/events.js';
import { configurationOptions, recipeFrom, wholeNumber } from './options.js';
import type { ConfigurationArguments } from './options.js';
import { outputOptions, traceOption, withProgress } from './output_options.js';
import type { OutputArguments } from './output_options.js';
import { devicesFrom, placementOptions } from './placement_options.js';
import type { PlacementArguments } from './placement_options.js';

const { preset, config, batch, seed, towers, set } = configurationOptions;

const options = {
  preset: { ...preset, describe: `${preset.describe}; without it ${DEFAULT_PRESET}` },
  config,
  batch,
  seed,
  towers,
  set,
  ...placementOptions,
  steps: {
    requiresArg: true,
    default: '10',
    describe: 'Timed steps of each placement',
  },
  report: {
    requiresArg: true,
    describe: 'HTML file with the timings as a page, besides what is printed',
  },
  json: { type: 'boolean', default: false, describe: 'Print one JSON object, all else on stderr' },
  ...traceOption,
  ...outputOptions,
} as const;

interface CompareArguments extends ConfigurationArguments, PlacementArguments, OutputArguments {
  report?: string | undefined;
  trace?: string | undefined;
  json?: boolean | undefined;
}

export const command: CommandModule<object, CompareArguments> = {
  command: 'compare',
  describe: 'Time split, grouped and dense placements against each other',
  builder: (yargs) =>
    yargs
      .options(options)
      .example('$0 compare --gpus 0,1', "The paper's network, two towers on two GPUs or on one")
      .example(
        '$0 compare --preset demo --cpu 2 --json',
        'A small one on the CPU, for a program',
      ) as never,
  handler: run,
};

async function run(given: ArgumentsCamelCase<CompareArguments>): Promise<void> {
  if (given.report !== undefined) refuseReportFile(given.report);
  const events = new RunEvents();
  // Its --steps are those that are timed, not the configuration's.
  const recipe = recipeFrom({ ...given, steps: undefined });
  const steps = wholeNumber('steps', given.steps as string, 1)!;
  const comparison = await withProgress(given, events, (progress) => {
    events.on('omitted', (name, reason) => progress.note(`${name} is left out: ${reason}`));
    events.on('warmUp', (name) => {
      if (!progress.quiet) progress.note(`warming up ${name} …`);
    });
    events.on('turn', ({ done, of }) =>
      progress.show({ label: 'timing the placements in turn', unit: 'step', done, of }),
    );
    return compare({ ...recipe, ...devicesFrom(given), steps, trace: given.trace, events });
  });
  if (given.report !== undefined) writeComparison(comparison, given.report);
  if (given.json === true) printJson(comparison);
  else printRows(comparison);
}

function printRows({ rows, preset, batch, steps }: Comparison): void {
  const width = terminalWidth();
  const milliseconds = (value: number): string => value.toFixed(1);
  print(`${preset}, batch ${batch}, ${steps} steps of each in turn, milliseconds a step`);
  print(
    formatTable(
      ['placement', 'median', 'p10', 'p90', 'images/s', 'speed-up'],
      rows.map(({ name, placement, msPerStep, imagesPerSecond, speedup }) => [
        `${name} ${JSON.stringify(placement)}`,
        milliseconds(msPerStep.median),
        milliseconds(msPerStep.p10),
        milliseconds(msPerStep.p90),
        imagesPerSecond.toFixed(1),
        `${speedup.toFixed(2)}×`,
      ]),
      width,
    ),
  );
  print('\nwhere the time goes, milliseconds a step (mean over the workers)');
  print(
    formatTable(
      ['placement', 'forward', 'backward', 'copying', 'waiting', 'update', 'exchanged'],
      rows.map(({ name, parts, exchangeBytes }) => [
        name,
        milliseconds(parts.forwardMs),
        milliseconds(parts.backwardMs),
        milliseconds(parts.exchangeCopyMs),
        milliseconds(parts.exchangeWaitMs),
        milliseconds(parts.updateMs),
        formatBytes(exchangeBytes),
      ]),
      width,
    ),
  );
  print('\neach worker');
  print(
    formatTable(
      ['placement', 'device', 'parameters', 'peak of tensors'],
      rows.flatMap(({ name, workers }) =>
        workers.map(({ device, parameters, peakBytes }) => [
          name,
          device,
          formatCount(parameters),
          formatBytes(peakBytes),
        ]),
      ),
      width,
    ),
  );
}
