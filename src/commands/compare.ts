/**
 *     twotower compare --gpus 0,1
 *     twotower compare --preset cifar10-seed --cpu 2 --batch 128 --steps 20 --json
 */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { buildNetwork } from '../model/network.js';
import { formatBytes, formatCount, formatTable, terminalWidth } from '../report/text.js';
import { TimedPlacement, noiseBatch, takeTurns } from '../training/comparison.js';
import type { Candidate, ComparisonRow, PlacementName } from '../training/comparison.js';
import { configurationFrom, configurationOptions, wholeNumber } from './options.js';
import type { ConfigurationArguments } from './options.js';
import { placementFrom, placementOptions } from './placement_options.js';
import type { PlacementArguments, ResolvedPlacement } from './placement_options.js';

const { preset, config, batch, seed, towers, set } = configurationOptions;
const DEFAULT_PRESET = 'alexnet';

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
  json: { type: 'boolean', default: false, describe: 'Print one JSON object, all else on stderr' },
} as const;

interface CompareArguments extends ConfigurationArguments, PlacementArguments {
  json?: boolean | undefined;
}

export const command: CommandModule<object, CompareArguments> = {
  command: 'compare',
  describe: 'Time split, grouped and dense placements against each other',
  builder: (yargs) => yargs.options(options) as never,
  handler: run,
};

async function run(given: ArgumentsCamelCase<CompareArguments>): Promise<void> {
  const steps = wholeNumber('steps', given.steps as string, 1)!;
  const preset = given.preset ?? (given.config === undefined ? DEFAULT_PRESET : undefined);
  // Its --steps are those that are timed, not the configuration's.
  const asked = configurationFrom({ ...given, preset, steps: undefined });
  const resolved = await placementFrom(
    given,
    given.towers === undefined ? undefined : asked.towers,
    asked.towers,
  );
  resolved.warnings.forEach((warning) => console.error(`warning: ${warning}`));
  const candidates = candidatesOf(resolved, asked.towers);
  for (const [name, reason] of missing(candidates)) console.error(`${name} is left out: ${reason}`);
  // Refuses what the layer list does not allow before anything is opened.
  candidates.forEach((candidate) =>
    buildNetwork(asked.network, candidate.towers, asked.data.classes),
  );

  const noise = await noiseBatch(asked);
  const timed: TimedPlacement[] = [];
  try {
    for (const candidate of candidates) {
      console.error(`warming up ${candidate.name} …`);
      const { backend, precision } = resolved;
      const placement = await TimedPlacement.open(candidate, asked, { backend, precision }, noise);
      timed.push(placement);
      await placement.warmUp();
    }
    console.error(`timing ${steps} steps of each, in turn …`);
    await takeTurns(timed, steps);
    const denseMs = timed.find(({ candidate }) => candidate.name === 'dense')!.msPerStep().median;
    const rows = timed.map((placement) => placement.row(denseMs));
    if (given.json === true) {
      console.log(JSON.stringify({ preset: asked.name, batch: noise.count, steps, rows }));
    } else {
      printRows(rows, asked.name, noise.count, steps);
    }
  } finally {
    for (const placement of timed) await placement.close();
  }
}

/** The split placement as asked for, and both networks on its first worker's device with all cores. */
function candidatesOf(
  { placement, towers, machine }: ResolvedPlacement,
  presetTowers: number,
): Candidate[] {
  const first = placement[0]!;
  const groupedTowers = towers > 1 ? towers : presetTowers;
  const alone = (count: number): Candidate['placement'] => [
    { ...first, ranks: Array.from({ length: count }, (_, rank) => rank), threads: machine.cores },
  ];
  const candidates: Candidate[] = [];
  if (placement.length > 1) {
    candidates.push({ name: 'split', towers, placement });
  }
  if (groupedTowers > 1) {
    candidates.push({ name: 'grouped', towers: groupedTowers, placement: alone(groupedTowers) });
  }
  candidates.push({ name: 'dense', towers: 1, placement: alone(1) });
  return candidates;
}

/** Each placement that is not compared, and why. */
function missing(candidates: Candidate[]): [string, string][] {
  const reasons: [PlacementName, string][] = [
    ['split', 'the towers have one device; try --gpus 0,1 or --cpu 2'],
    ['grouped', 'the network has one tower; try --towers 2'],
  ];
  return reasons.filter(([name]) => candidates.every((candidate) => candidate.name !== name));
}

function printRows(rows: ComparisonRow[], preset: string, batch: number, steps: number): void {
  const width = terminalWidth();
  const milliseconds = (value: number): string => value.toFixed(1);
  console.log(`${preset}, batch ${batch}, ${steps} steps of each in turn, milliseconds a step`);
  console.log(
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
  console.log('\nwhere the time goes, milliseconds a step (mean over the workers)');
  console.log(
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
  console.log('\neach worker');
  console.log(
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
