/**
 * The benchmark of record: whole steps and single layers, split, grouped and dense; oneDNN's bare primitives
 * for the dense network's layers, and the least time that the machine allows for them; and, given a Python that
 * has PyTorch, the same dense network there, in the fastest of PyTorch's ways. All take their steps in turn in
 * one run, so that only ratios are claimed.
 *
 *     npm run bench
 *     npm run bench -- --preset cifar10-seed --batch 128 --steps 10 --peer-python venv/bin/python
 *     npm run bench -- --precision bf16 --peer-python venv/bin/python
 */
import * as tf from '@tensorflow/tfjs-core';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import {
  availableBackend,
  prepareProcess,
  requirePrecision,
  useBackend,
} from '../src/backend/backend.js';
import { PRECISIONS } from '../src/backend/numerics.js';
import type { BackendName } from '../src/backend/backend.js';
import type { Precision } from '../src/backend/numerics.js';
import { loadConfiguration } from '../src/configuration.js';
import type { Configuration } from '../src/configuration.js';
import type { OwnChannels } from '../src/model/distribution.js';
import { applyLayer } from '../src/model/forward.js';
import { buildNetwork } from '../src/model/network.js';
import type { Layer } from '../src/model/network.js';
import type { Placement } from '../src/parallel/placement.js';
import { quantile } from '../src/report/quantiles.js';
import type { Spread } from '../src/report/quantiles.js';
import { formatTable, terminalWidth } from '../src/report/text.js';
import { TimedPlacement, noiseBatch, takeTurns } from '../src/training/comparison.js';
import type { Candidate, ComparisonRow } from '../src/training/comparison.js';
import { boundOf } from './bound.js';
import { BarePrimitives, Peer } from './contenders.js';
import type { Machine, NamedMilliseconds, PyTorch } from './contenders.js';
import { usableCores } from '../src/usable_cores.js';

const LAYER_REPEATS = 5;

/** Forward and backward of one conv or fc layer of the dense network alone, median milliseconds. */
function layerMilliseconds(layer: Layer, batch: number): number {
  const { height, width, channels } = layer.input;
  const outputs = layer.output.channels;
  const shape =
    layer.specification.type === 'conv'
      ? [layer.specification.size, layer.specification.size, channels, outputs]
      : [height * width * channels, outputs];
  const input = tf.randomNormal([batch, height, width, channels]);
  const weight = tf.randomNormal(shape);
  const bias = tf.randomNormal([outputs]);
  const apply = (x: tf.Tensor, w: tf.Tensor, b: tf.Tensor): tf.Tensor =>
    applyLayer(
      layer,
      x as OwnChannels,
      new Map([
        [`${layer.name}.weight`, w],
        [`${layer.name}.bias`, b],
      ]),
      null,
      0,
    );
  const gradient = tf.tidy(() => tf.randomNormal(apply(input, weight, bias).shape));
  const samples: number[] = [];
  for (let repeat = 0; repeat <= LAYER_REPEATS; repeat++) {
    const start = performance.now();
    // As in training, the first layer's image needs no gradient.
    const gradients =
      layer.index === 0
        ? tf.grads((w: tf.Tensor, b: tf.Tensor) => apply(input, w, b))([weight, bias], gradient)
        : tf.grads(apply)([input, weight, bias], gradient);
    samples.push(performance.now() - start);
    tf.dispose(gradients);
  }
  tf.dispose([input, weight, bias, gradient]);
  return quantile(samples.slice(1), 0.5);
}

const OPTIONS = {
  preset: { type: 'string', default: 'cifar10-seed', describe: 'Network to time' },
  batch: { type: 'number', default: 128, describe: 'Images a step' },
  steps: { type: 'number', default: 10, describe: 'Timed steps of each contender' },
  towers: { type: 'number', default: 2, describe: 'Towers of split and grouped' },
  precision: {
    choices: PRECISIONS,
    default: 'float32',
    describe: 'Of the operands; PyTorch computes bf16 under autocast',
  },
  'peer-python': { type: 'string', describe: 'Python that has PyTorch, to time the same there' },
  json: { type: 'boolean', default: false, describe: 'Print one JSON object, all else on stderr' },
} as const;

interface Measurement {
  preset: string;
  /** Pixels a side of the network's input. */
  side: number;
  batch: number;
  steps: number;
  threads: number;
  backend: BackendName;
  precision: Precision;
  rows: ComparisonRow[];
  layers: NamedMilliseconds[];
  peer: (Contender & { pytorch: PyTorch }) | null;
  /** With the backend native. */
  bare: (Contender & { machine: Machine; bound: NamedMilliseconds[] }) | null;
}

interface Contender {
  msPerStep: Spread;
  layers: NamedMilliseconds[];
}

/** Split over CPU workers that share the cores; grouped and dense on one worker with all of them. */
function candidatesOf(towers: number, threads: number): Candidate[] {
  const cpu = (workers: number[][]): Placement =>
    workers.map((ranks) => ({
      ranks,
      device: 'cpu',
      requested: 'cpu',
      threads: Math.max(1, Math.floor(threads / workers.length)),
    }));
  const ranks = Array.from({ length: towers }, (_, rank) => rank);
  return [
    { name: 'split', towers, placement: cpu(ranks.map((rank) => [rank])) },
    { name: 'grouped', towers, placement: cpu([ranks]) },
    { name: 'dense', towers: 1, placement: cpu([[0]]) },
  ];
}

async function measure(
  configuration: Configuration,
  {
    towers,
    steps,
    precision,
    peerPython,
  }: { towers: number; steps: number; precision: Precision; peerPython: string | undefined },
): Promise<Measurement> {
  const { batch } = configuration.training;
  const threads = usableCores();
  prepareProcess();
  const { backend } = availableBackend();
  requirePrecision(precision, backend);
  const dense = buildNetwork(configuration.network, 1, configuration.data.classes);
  const peer =
    peerPython === undefined
      ? undefined
      : await Peer.open(peerPython, configuration, threads, precision);

  console.error('single layers …');
  await useBackend({ backend, device: 'cpu', precision, threads });
  const layers: NamedMilliseconds[] = [];
  const peerLayers: NamedMilliseconds[] = [];
  for (const layer of dense.layers.filter(({ parameters }) => parameters.length > 0)) {
    layers.push({ name: layer.name, ms: layerMilliseconds(layer, batch) });
    if (peer !== undefined) peerLayers.push(await peer.layer(layer.name));
  }

  const noise = await noiseBatch(configuration);
  const timed: TimedPlacement[] = [];
  for (const candidate of candidatesOf(towers, threads)) {
    console.error(`warming up ${candidate.name} …`);
    const placement = await TimedPlacement.open(
      candidate,
      configuration,
      { backend, precision },
      noise,
    );
    await placement.warmUp();
    timed.push(placement);
  }
  const bare =
    backend === 'native' ? new BarePrimitives(dense, batch, threads, precision) : undefined;
  const others = [peer, bare].filter((contender) => contender !== undefined);
  for (const contender of others) await contender.warmUp();
  console.error(`${steps} steps of each, in turn …`);
  await takeTurns([...timed, ...others], steps);

  const denseMs = timed.find(({ candidate }) => candidate.name === 'dense')!.msPerStep().median;
  const rows = timed.map((placement) => placement.row(denseMs));
  for (const placement of timed) await placement.close();
  for (const contender of others) contender.close();
  return {
    preset: configuration.name,
    side: configuration.network.input.height,
    batch,
    steps,
    threads,
    backend,
    precision,
    rows,
    layers,
    peer:
      peer === undefined
        ? null
        : { msPerStep: peer.msPerStep(), layers: peerLayers, pytorch: peer.pytorch },
    bare:
      bare === undefined
        ? null
        : {
            msPerStep: bare.msPerStep(),
            layers: bare.layers(),
            machine: bare.machine(),
            bound: boundOf(configuration, precision, bare.machine()),
          },
  };
}

const milliseconds = (value: number): string => value.toFixed(value < 100 ? 1 : 0);
const times = (value: number): string => `${value.toFixed(2)}×`;

function print(measured: Measurement): void {
  const { preset, side, batch, steps, threads, backend, precision } = measured;
  console.log(
    `${preset}, ${side}², batch ${batch}, ${threads} threads, ${backend}, ${precision}; ${steps} steps of each in turn\n`,
  );
  printPyTorch(measured);
  printSteps(measured);
  printParts(measured);
  printLayers(measured);
}

function printPyTorch({ peer }: Measurement): void {
  if (peer === null) return;
  const { torch, chosen, tried } = peer.pytorch;
  console.log(`PyTorch ${torch}, ${chosen}; seconds per step before the first turn:`);
  for (const [way, seconds] of Object.entries(tried)) {
    console.log(`  ${way}: ${typeof seconds === 'number' ? seconds.toFixed(3) : seconds}`);
  }
  console.log('');
}

function printSteps({ rows, peer, bare, batch, precision }: Measurement): void {
  const denseMs = rows.find(({ name }) => name === 'dense')!.msPerStep.median;
  const contenders: [string, Spread][] = rows.map(({ name, msPerStep }) => [name, msPerStep]);
  if (peer !== null) contenders.push(['PyTorch dense', peer.msPerStep]);
  if (bare !== null) contenders.push(['bare oneDNN', bare.msPerStep]);
  const over = (median: number | undefined, own: Spread): string =>
    median === undefined ? '' : times(median / own.median);
  const table = contenders.map(([name, msPerStep]) => [
    name,
    ...[msPerStep.median, msPerStep.p10, msPerStep.p90].map(milliseconds),
    ((batch / msPerStep.median) * 1000).toFixed(1),
    over(denseMs, msPerStep),
    over(peer?.msPerStep.median, msPerStep),
    over(bare?.msPerStep.median, msPerStep),
  ]);
  const head = ['step, ms', 'median', 'p10', 'p90', 'images/s', '× dense', '× PyTorch', '× bare'];
  console.log(formatTable(head, table, terminalWidth()));
  if (bare === null) return;
  const { machine, bound } = bare;
  const least = bound.reduce((sum, { ms }) => sum + ms, 0);
  console.log(
    `\nconv and fc layers of dense need ${milliseconds(least)} ms by the algorithms taken, at ` +
      `${machine.float32Operations.toFixed(0)} GFLOP/s in float32, ${machine.operations.toFixed(0)} ` +
      `in ${precision} and ${machine.bytes.toFixed(1)} GB/s: a step takes ${times(denseMs / least)} that`,
  );
}

function printParts({ rows }: Measurement): void {
  console.log('\nparts of a step, milliseconds (mean over the workers)');
  console.log(
    formatTable(
      ['step', 'forward', 'backward', 'copying', 'waiting', 'update', 'copying share'],
      rows.map(({ name, parts, msPerStep }) => [
        name,
        milliseconds(parts.forwardMs),
        milliseconds(parts.backwardMs),
        milliseconds(parts.exchangeCopyMs),
        milliseconds(parts.exchangeWaitMs),
        milliseconds(parts.updateMs),
        `${((100 * parts.exchangeCopyMs) / msPerStep.median).toFixed(2)} %`,
      ]),
      terminalWidth(),
    ),
  );
}

function printLayers({ layers, peer, bare }: Measurement): void {
  console.log('\nsingle layers of the dense network, forward and backward, milliseconds');
  const of = (others: NamedMilliseconds[] | undefined, layer: NamedMilliseconds): string[] => {
    const other = others?.find(({ name }) => name === layer.name);
    return other === undefined ? ['', ''] : [milliseconds(other.ms), times(other.ms / layer.ms)];
  };
  console.log(
    formatTable(
      ['layer', 'twotower', 'PyTorch', '× PyTorch', 'bare', '× bare', 'bound', '× bound'],
      layers.map((layer) => [
        layer.name,
        milliseconds(layer.ms),
        ...of(peer?.layers, layer),
        ...of(bare?.layers, layer),
        ...of(bare?.bound, layer),
      ]),
      terminalWidth(),
    ),
  );
}

const given = await yargs(hideBin(process.argv))
  .scriptName('npm run bench --')
  .usage('$0 [OPTIONS]')
  .options(OPTIONS)
  .strict()
  .parse();
const measured = await measure(
  loadConfiguration({ preset: given.preset, overrides: { training: { batch: given.batch } } }),
  given,
);
if (given.json) console.log(JSON.stringify(measured));
else print(measured);
