/**
 * Times the placements of a network against each other.
 *
 *     twotower compare --gpus 0,1
 *     twotower compare --preset cifar10-seed --cpu 2 --batch 128 --steps 20 --json
 *     mpirun -n 2 --map-by node --bind-to none twotower compare --cpu 1 --towers 2
 */
import { joinWorld } from '../parallel/join_world.js';
import { programVersion } from '../program_version.js';
import { compare, DEFAULT_PRESET } from '../library/compare.js';
import type { Comparison, CompareOptions } from '../library/compare.js';
import { refuseReportFile, writeComparison } from '../library/report.js';
import { print, printJson } from '../report/printing.js';
import { formatBytes, formatCount, formatTable, terminalWidth } from '../report/text.js';
import type { Verbosity } from '../report/progress.js';
import { nameOnHosts } from '../report/comparison_report.js';
import { RunEvents } from '../runs/events.js';
import { deviceOptions } from './device_options.js';
import { printFailure, workElsewhere } from './elsewhere.js';
import { hostOptions } from './host_options.js';
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
    ...hostOptions,
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
  run: async ({ report, json, quiet, verbose, requireWorld, ...options }) => {
    const world = await joinWorld(programVersion(), { ...options, requireWorld });
    if (!world.isFirst) {
      return workElsewhere(world, (events) => compare({ ...options, world, events }));
    }
    try {
      await compareAndPrint({ ...options, world }, { report, json, quiet, verbose });
      await world.end(undefined, printFailure);
    } catch (error) {
      await world.end(error, printFailure);
      throw error;
    }
  },
});

interface Output extends Verbosity {
  report: string | undefined;
  json: boolean | undefined;
}

async function compareAndPrint(
  options: CompareOptions,
  { report, json, ...verbosity }: Output,
): Promise<void> {
  if (report !== undefined) refuseReportFile(report);
  const events = new RunEvents();
  const comparison = await withProgress(verbosity, events, (progress) => {
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
}

function printRows(comparison: Comparison): void {
  const { rows, preset, batch, steps, hosts } = comparison;
  const width = terminalWidth();
  const milliseconds = (value: number): string => value.toFixed(1);
  print(`${preset}, batch ${batch}, ${steps} steps of each in turn, milliseconds per step`);
  print(
    formatTable(
      ['placement', 'median', 'p10', 'p90', 'images/s', 'speed-up'],
      rows.map(({ name, placement, msPerStep, imagesPerSecond, speedup }) => [
        hosts === undefined ? `${name} ${JSON.stringify(placement)}` : nameOnHosts(name, hosts),
        milliseconds(msPerStep.median),
        milliseconds(msPerStep.p10),
        milliseconds(msPerStep.p90),
        imagesPerSecond.toFixed(1),
        `${speedup.toFixed(2)}×`,
      ]),
      width,
    ),
  );
  const whose = hosts === undefined ? 'the workers' : "the first host's workers";
  print(`\nwhere the time goes, milliseconds per step (mean over ${whose})`);
  print(
    formatTable(
      [
        ...['placement', 'forward', 'backward', 'copying', 'waiting', 'update', 'exchanged'],
        ...(hosts === undefined ? [] : ['communicating', 'exposed']),
      ],
      rows.map(({ name, parts, exchangeBytes }) => [
        name,
        milliseconds(parts.forwardMs),
        milliseconds(parts.backwardMs),
        milliseconds(parts.exchangeCopyMs),
        milliseconds(parts.exchangeWaitMs),
        milliseconds(parts.updateMs),
        formatBytes(exchangeBytes),
        ...(hosts === undefined
          ? []
          : [milliseconds(parts.communicationMs ?? 0), milliseconds(parts.exposedMs ?? 0)]),
      ]),
      width,
    ),
  );
  print(hosts === undefined ? '\nper worker' : '\nper worker of the first host');
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
