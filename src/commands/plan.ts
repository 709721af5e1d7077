/**
 * `twotower plan --preset alexnet-paper --towers 2`: what a network costs, before anything is trained.
 *
 * A table of every layer's shapes, parameters, multiply-accumulates and exchanged bytes; with `--json`
 * the same as one object on stdout.
 */
import type { CommandModule } from 'yargs';
import { plan } from '../library/plan.js';
import type { Plan, PlannedLayer } from '../library/plan.js';
import type { ActivationShape } from '../model/layers.js';
import { print, printJson } from '../report/printing.js';
import { terminalWidth } from '../report/text.js';
import { configurationOptions, recipeFrom, type ConfigurationArguments } from './options.js';

/**
 * The plan as text of at most `columns` characters a line where the names allow it: a table, or where
 * that is too wide, a few short lines a layer.
 */
export function renderPlan(plan: Plan, columns: number): string {
  const table = aligned(plan.layers);
  const width = Math.max(...table.map((line) => line.length));
  const { total } = plan;
  return [
    `${plan.name}: ${counted(plan.towers, 'tower')}, ${plan.classes} classes, input ${shape(plan.input)}`,
    '',
    ...(width <= columns ? table : plan.layers.flatMap(paragraph)),
    '',
    `parameters  ${grouped(total.parameters)}; ${grouped(total.parametersPerRank)} a rank`,
    `forward     ${scaled(total.macs, 1e9)} GMAC an image`,
    `exchange    ${scaled(total.exchangedBytes, 1e6)} MB a step of ${plan.batch} images`,
    '',
  ].join('\n');
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
    lines.push(`  ${grouped(layer.parametersPerRank)} a rank`);
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

/** A count, of operations or bytes, in units of 10⁶ or 10⁹: three digits, so that small nets show too. */
function scaled(count: number, unit: number): string {
  return (count / unit).toLocaleString('en-US', { maximumSignificantDigits: 3 });
}

type PlanArguments = Pick<
  ConfigurationArguments,
  'preset' | 'config' | 'data' | 'towers' | 'batch' | 'set'
> & { json: boolean };

const { preset, config, data, towers, batch, set } = configurationOptions;

export const command: CommandModule<object, PlanArguments> = {
  command: 'plan',
  describe: 'Print what a network costs: shapes, parameters, operations and exchanged bytes',
  builder: (yargs) =>
    yargs
      .options({
        ...{ preset, config, data, towers, batch, set },
        json: { type: 'boolean', default: false, describe: 'Print one JSON object' },
      })
      .example('$0 plan --preset alexnet-paper', "The paper's network, layer by layer")
      .example(
        '$0 plan --preset alexnet-paper --towers 4',
        'The same divided among four towers',
      ) as never,
  handler: (given) => {
    const planned = plan(recipeFrom(given));
    if (given.json) printJson(planned);
    else print(renderPlan(planned, terminalWidth()).trimEnd());
  },
};
