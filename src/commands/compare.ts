/**
 * Times the placements of a network against each other.
 *
 *     twotower compare --gpus 0,1
 *     twotower compare --preset cifar10-seed --cpu 2 --batch 128 --steps 20 --json
 */
import { compare, DEFAULT_PRESET } from '../library/compare.js';
import type { Comparison } from '../library/compare.js';
import { refuseReportFile, writeComparison } from '../library/report.js';
import { print, printJson } from '../report/printing.js';
import { formatBytes, formatCount, formatTable, terminalWidth } from '../report/text.js';
import { RunEvents } from '../runs/events.js';
import { deviceOptions } from './device_options.js';
import { path, text, wholeNumber } from './option_kinds.js';
import { defineCommand } from './option_table.js';
import { jsonOption, outputOptions, traceOption, withProgress } from './output_options.js';
import { recipeOptions } from './recipe_options.js';

const { preset, config, batch, seed, towers, settings } = recipeOptions;

export const command = defineCommand({
  command: 'compare',
  options: {
    preset: text({
      ...preset.help,
      describe: `${preset.help.describe} (default ${DEFAULT_PRESET})`,
    }),
    config,
    batch,
    seed,
    towers,
    settings,
    ...deviceOptions,
    steps: wholeNumber(1, { describe: 'Timed steps per placement (default 10)' }),
    report: path({ describe: 'HTML file that also gets the timings, as a page' }),
    ...jsonOption,
    ...traceOption,
    ...outputOptions,
  },
  examples: [
    ['compare --gpus 0,1', "The paper's network, two towers on two GPUs or on one"],
    ['compare --preset demo --cpu 2 --json', 'A small network on the CPU, as JSON'],
  ],
  run: async ({ report, json, quiet, verbose, ...options }) => {
    if (report !== undefined) refuseReportFile(report);
    const events = new RunEvents();
    const comparison = await withProgress({ quiet, verbose }, events, (progress) => {
      events.on('omitted', (name, reason) => progress.note(`${name} is left out: ${reason}`));
      events.on('warmUp', (name) => {
        if (!progress.quiet) progress.note(`warming up ${name} …`);
      });
      events.on('turn', ({ done, of }) =>
        progress.show({ label: 'timing the placements in turn', unit: 'step', done, of }),
      );
      return compare({ ...options, events });
    });
    if (report !== undefined) writeComparison(comparison, report);
    if (json) printJson(comparison);
    else printRows(comparison);
  },
});

function printRows({ rows, preset, batch, steps }: Comparison): void {
  const width = terminalWidth();
  const milliseconds = (value: number): string => value.toFixed(1);
  print(`${preset}, batch ${batch}, ${steps} steps of each in turn, milliseconds per step`);
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
  print('\nwhere the time goes, milliseconds per step (mean over the workers)');
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
  print('\nper worker');
  print(
    formatTable(
      ['placement', 'device', 'parameters', 'peak memory of tensors'],
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
