/**
 * Prints what a network costs before anything is trained: a table with the shapes, parameters,
 * multiply-accumulates and exchanged bytes of every layer.
 *
 *     twotower plan --preset alexnet-paper --towers 2
 *     twotower plan --preset demo --json
 *     twotower plan --preset cifar10-seed --timing --precision bf16
 */
import { planAlgorithms } from '../library/algorithms.js';
import type { PlannedPass } from '../library/algorithms.js';
import { plan } from '../library/plan.js';
import type { Plan, PlannedLayer } from '../library/plan.js';
import { planGpus } from '../library/plan_gpus.js';
import type { PlannedGpu } from '../library/plan_gpus.js';
import type { ActivationShape } from '../model/layers.js';
import { print, printJson } from '../report/printing.js';
import { formatTable, terminalWidth } from '../report/text.js';
import { deviceOptions } from './device_options.js';
import { flag, wholeNumber } from './option_kinds.js';
import { defineCommand } from './option_table.js';
import { jsonOption } from './output_options.js';
import { recipeOptions } from './recipe_options.js';

const { preset, config, data, towers, batch, settings } = recipeOptions;

export const command = defineCommand({
  command: 'plan',
  options: {
    preset,
    config,
    data,
    towers,
    batch,
    settings,
    hosts: wholeNumber(1, {
      describe:
        'Add what each of this many hosts receives per step, for each --parallelism of train',
    }),
    timing: flag({
      describe: 'Add how the native backend computes each convolution on this processor',
    }),
    precision: deviceOptions.precision,
    ...jsonOption,
  },
  examples: [
    ['plan --preset alexnet-paper', "The paper's network, layer by layer"],
    ['plan --preset alexnet-paper --towers 4', 'The same network divided among four towers'],
    ['plan --preset alexnet-paper --batch 512 --hosts 4', 'What would pass between four hosts'],
  ],
  run: async ({ json, hosts, timing, precision = 'float32', ...recipe }) => {
    const planned = plan(recipe, hosts);
    const passes = timing ? planAlgorithms(recipe, precision) : undefined;
    const gpus = await planGpus(planned);
    if (json) {
      const here = gpus.length > 0 && { gpus };
      return printJson({ ...planned, ...here, ...(passes !== undefined && { passes }) });
    }
    print(renderPlan(planned, terminalWidth(), gpus).trimEnd());
    if (passes !== undefined) print(`\n${renderPasses(passes, terminalWidth())}`);
  },
});

/**
 * The plan as a table, or as a few short lines per layer if the table is wider than `columns`. Only a long
 * name can make a line longer than that.
 */
export function renderPlan(plan: Plan, columns: number, gpus: readonly PlannedGpu[] = []): string {
  const table = aligned(plan.layers);
  const width = Math.max(...table.map((line) => line.length));
  const { total } = plan;
  return [
    `${plan.name}: ${counted(plan.towers, 'tower')}, ${plan.classes} classes, input ${shape(plan.input)}`,
    '',
    ...(width <= columns ? table : plan.layers.flatMap(paragraph)),
    '',
    `parameters  ${grouped(total.parameters)}; ${grouped(total.parametersPerRank)} per rank`,
    `forward     ${scaled(total.macs, 1e9)} GMAC per image`,
    `exchange    ${scaled(total.exchangedBytes, 1e6)} MB per step of ${plan.batch} images`,
    ...memoryLines(plan, gpus),
    '',
    ...hostLines(plan),
  ].join('\n');
}

function memoryLines({ memoryPerRank, batch }: Plan, gpus: readonly PlannedGpu[]): string[] {
  const { parameterBytes, bytesPerImage } = memoryPerRank;
  const megabytes = (bytes: number): string => `${scaled(bytes, 1e6)} MB`;
  const whole = megabytes(parameterBytes + batch * bytesPerImage);
  return [
    `memory      about ${whole} per rank: ${megabytes(parameterBytes)}, and ${megabytes(bytesPerImage)} per image`,
    ...gpus.map(
      ({ ordinal, name, bytes, images }) =>
        `gpu:${ordinal}`.padEnd(12) +
        `${name}, ${megabytes(bytes)}: fits one rank's step of about ${grouped(images)} images`,
    ),
  ];
}

function hostLines({ hosts, batch }: Plan): string[] {
  if (hosts === undefined) return [];
  const lines = hosts.parallelisms.flatMap(({ parallelism, ranks, traffic, problem }) => {
    if (traffic === null) return [`${parallelism.padEnd(10)}  ${problem}`];
    const { exchangedBytes, perFurtherWorkerBytes, reducedBytes } = traffic;
    const parts = `${scaled(exchangedBytes, 1e6)} exchanged, ${scaled(reducedBytes, 1e6)} of gradients`;
    const further = `${''.padEnd(10)}  and ${scaled(perFurtherWorkerBytes, 1e6)} more for each further worker per host`;
    return [
      `${parallelism.padEnd(10)}  ${scaled(exchangedBytes + reducedBytes, 1e6)} MB: ${parts}`,
      // A worker has at least one rank.
      ...(perFurtherWorkerBytes > 0 && ranks![0]!.length > 1 ? [further] : []),
      `${''.padEnd(10)}  ranks by host: ${ranks!.map((own) => own.join('+')).join(', ')}`,
    ];
  });
  const heading = `each of ${hosts.count} hosts, with one worker, receives per step of ${batch} images:`;
  return [heading, ...lines, ''];
}

const PASS_NAMES = { forward: 'forward', input: 'by the input', filter: 'by the filter' };

/** The algorithm of each pass, and the operations that it needs. */
export function renderPasses(passes: readonly PlannedPass[], columns: number): string {
  return formatTable(
    ['layer', 'pass', 'algorithm', 'GFLOP/step per rank'],
    passes.map(({ layer, pass, algorithm, operations }) => [
      layer,
      PASS_NAMES[pass],
      algorithm,
      scaled(operations, 1e9),
    ]),
    columns,
  );
}

const HEADINGS = [
  'layer',
  'kernels',
  'reads',
  'output/rank',
  'parameters',
  'per rank',
  'MMAC',
  'MB/step',
];

function aligned(layers: readonly PlannedLayer[]): string[] {
  const rows = [
    HEADINGS,
    ...layers.map((layer) => [
      layer.name,
      layer.kernels === null ? '' : String(layer.kernels),
      layer.reads ?? '',
      shape(layer.output),
      layer.parameters === 0 ? '' : grouped(layer.parameters),
      layer.parameters === 0 ? '' : grouped(layer.parametersPerRank),
      layer.macs === 0 ? '' : scaled(layer.macs, 1e6),
      layer.exchangedBytes === 0 ? '' : scaled(layer.exchangedBytes, 1e6),
    ]),
  ];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
}

function paragraph(layer: PlannedLayer): string[] {
  const lines = [layer.name];
  if (layer.kernels !== null) lines.push(`  ${layer.kernels} kernels, reads ${layer.reads}`);
  lines.push(`  output ${shape(layer.output)}`);
  if (layer.parameters > 0) {
    lines.push(`  ${grouped(layer.parameters)} parameters`);
    lines.push(`  ${grouped(layer.parametersPerRank)} per rank`);
    lines.push(`  ${scaled(layer.macs, 1e6)} MMAC`);
  }
  if (layer.exchangedBytes > 0) lines.push(`  ${scaled(layer.exchangedBytes, 1e6)} MB/step`);
  return lines;
}

function shape({ height, width, channels }: ActivationShape): string {
  return height === 1 && width === 1 ? String(channels) : `${height}×${width}×${channels}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

/** A count of operations or bytes in units of 10⁶ or 10⁹, to three digits so that small networks show too. */
function scaled(count: number, unit: number): string {
  return (count / unit).toLocaleString('en-US', { maximumSignificantDigits: 3 });
}
