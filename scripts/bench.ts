/**
 * The benchmark of record: whole steps and single layers, split, grouped and dense, and with a Python
 * that has PyTorch the same dense network there. All take their steps in turn in one run, so that only
 * ratios are claimed.
 *
 *     npm run bench
 *     npm run bench -- --preset cifar10-seed --batch 128 --steps 10 --peer-python venv/bin/python
 */
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import * as tf from '@tensorflow/tfjs';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { availableBackend, prepareProcess, useBackend } from '../src/backend/backend.js';
import type { BackendName } from '../src/backend/backend.js';
import { loadConfiguration } from '../src/configuration.js';
import type { Configuration } from '../src/configuration.js';
import { applyLayer } from '../src/model/forward.js';
import { buildNetwork } from '../src/model/network.js';
import type { Layer } from '../src/model/network.js';
import type { Placement } from '../src/parallel/placement.js';
import { quantile, spreadOf } from '../src/report/quantiles.js';
import type { Spread } from '../src/report/quantiles.js';
import { formatTable, terminalWidth } from '../src/report/text.js';
import { TimedPlacement, noiseBatch, takeTurns } from '../src/training/comparison.js';
import type { Candidate, ComparisonRow } from '../src/training/comparison.js';

const LAYER_REPEATS = 5;

/** The PyTorch peer, `scripts/peer.py`, taking turns through its standard input and output. */
class Peer {
  private readonly seconds: number[] = [];

  private constructor(
    private readonly process: ChildProcessWithoutNullStreams,
    private readonly answers: AsyncIterator<string>,
  ) {}

  static async open(python: string, configuration: Configuration, threads: number): Promise<Peer> {
    const script = new URL('../../scripts/peer.py', import.meta.url).pathname;
    const child = spawn(python, [script]);
    child.stderr.pipe(process.stderr);
    const peer = new Peer(child, createInterface(child.stdout)[Symbol.asyncIterator]());
    const { network, data, training } = configuration;
    const prepare = {
      network,
      towers: 1,
      classes: data.classes,
      batch: training.batch,
      threads,
      channelsLast: false,
      autocast: null,
    };
    const { torch } = await peer.ask<{ torch: string }>({ prepare });
    console.error(`PyTorch ${torch}`);
    return peer;
  }

  async warmUp(): Promise<void> {
    await this.ask({ step: 2 });
  }

  async turn(): Promise<void> {
    const { seconds } = await this.ask<{ seconds: [number] }>({ step: 1 });
    this.seconds.push(seconds[0]);
  }

  msPerStep(): Spread {
    return spreadOf(this.seconds.map((one) => one * 1000));
  }

  async layers(): Promise<NamedMilliseconds[]> {
    const { layers } = await this.ask<{ layers: { name: string; seconds: number }[] }>({
      layers: true,
    });
    return layers.map(({ name, seconds }) => ({ name, ms: seconds * 1000 }));
  }

  close(): void {
    this.process.stdin.end();
  }

  private async ask<Answer>(request: object): Promise<Answer> {
    this.process.stdin.write(`${JSON.stringify(request)}\n`);
    const answered: IteratorResult<string, unknown> = await this.answers.next();
    if (answered.done === true) throw new Error('the PyTorch peer ended; its own message is above');
    const answer = JSON.parse(answered.value) as Answer & { error?: string };
    if (answer.error !== undefined) throw new Error(`the PyTorch peer: ${answer.error}`);
    return answer;
  }
}

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
      x,
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
  'peer-python': { type: 'string', describe: 'Python that has PyTorch, to time the same there' },
  json: { type: 'boolean', default: false, describe: 'Print one JSON object, all else on stderr' },
} as const;

interface NamedMilliseconds {
  name: string;
  ms: number;
}

interface Measurement {
  preset: string;
  /** Pixels a side of the network's input. */
  side: number;
  batch: number;
  steps: number;
  threads: number;
  backend: BackendName;
  rows: ComparisonRow[];
  layers: NamedMilliseconds[];
  peer: { msPerStep: Spread; layers: NamedMilliseconds[] } | null;
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
  { towers, steps, peerPython }: { towers: number; steps: number; peerPython: string | undefined },
): Promise<Measurement> {
  const { batch } = configuration.training;
  const threads = availableParallelism();
  prepareProcess();
  const { backend } = availableBackend();
  const peer =
    peerPython === undefined ? undefined : await Peer.open(peerPython, configuration, threads);

  console.error('single layers …');
  await useBackend({ backend, device: 'cpu', threads });
  const layers = buildNetwork(configuration.network, 1, configuration.data.classes)
    .layers.filter(({ parameters }) => parameters.length > 0)
    .map((layer) => ({ name: layer.name, ms: layerMilliseconds(layer, batch) }));
  const peerLayers = await peer?.layers();

  const noise = await noiseBatch(configuration);
  const timed: TimedPlacement[] = [];
  for (const candidate of candidatesOf(towers, threads)) {
    console.error(`warming up ${candidate.name} …`);
    const placement = await TimedPlacement.open(candidate, configuration, { backend }, noise);
    await placement.warmUp();
    timed.push(placement);
  }
  await peer?.warmUp();
  console.error(`${steps} steps of each, in turn …`);
  await takeTurns(peer === undefined ? timed : [...timed, peer], steps);

  const dense = timed.find(({ candidate }) => candidate.name === 'dense')!;
  const rows = timed.map((placement) => placement.row(dense.msPerStep().median));
  for (const placement of timed) await placement.close();
  peer?.close();
  return {
    preset: configuration.name,
    side: configuration.network.input.height,
    batch,
    steps,
    threads,
    backend,
    rows,
    layers,
    peer: peer === undefined ? null : { msPerStep: peer.msPerStep(), layers: peerLayers! },
  };
}

function print({
  preset,
  side,
  batch,
  steps,
  threads,
  backend,
  rows,
  layers,
  peer,
}: Measurement): void {
  const ms = (value: number): string => value.toFixed(value < 100 ? 1 : 0);
  const times = (value: number): string => `${value.toFixed(2)}×`;
  const spread = ({ median, p10, p90 }: Spread): string[] => [median, p10, p90].map(ms);
  const denseMs = rows.find(({ name }) => name === 'dense')!.msPerStep.median;
  const width = terminalWidth();
  console.log(
    `${preset}, ${side}², batch ${batch}, ${threads} threads, ${backend}, float32; ${steps} steps of each in turn\n`,
  );
  const stepRows = rows.map(({ name, msPerStep, imagesPerSecond, speedup }) => [
    name,
    ...spread(msPerStep),
    imagesPerSecond.toFixed(1),
    times(speedup),
    peer === null ? '' : times(peer.msPerStep.median / msPerStep.median),
  ]);
  if (peer !== null) {
    const { msPerStep } = peer;
    const imagesPerSecond = ((batch / msPerStep.median) * 1000).toFixed(1);
    stepRows.push([
      'PyTorch dense',
      ...spread(msPerStep),
      imagesPerSecond,
      times(denseMs / msPerStep.median),
      times(1),
    ]);
  }
  console.log(
    formatTable(
      ['step, ms', 'median', 'p10', 'p90', 'images/s', '× dense', '× PyTorch'],
      stepRows,
      width,
    ),
  );
  console.log('\nparts of a step, milliseconds (mean over the workers)');
  console.log(
    formatTable(
      ['step', 'forward', 'backward', 'copying', 'waiting', 'update', 'copying share'],
      rows.map(({ name, parts, msPerStep }) => [
        name,
        ms(parts.forwardMs),
        ms(parts.backwardMs),
        ms(parts.exchangeCopyMs),
        ms(parts.exchangeWaitMs),
        ms(parts.updateMs),
        `${((100 * parts.exchangeCopyMs) / msPerStep.median).toFixed(2)} %`,
      ]),
      width,
    ),
  );
  console.log('\nsingle layers of the dense network, forward and backward, milliseconds');
  const peerOf = (layer: NamedMilliseconds): number | undefined =>
    peer?.layers.find(({ name }) => name === layer.name)?.ms;
  console.log(
    formatTable(
      ['layer', 'twotower', 'PyTorch', '× PyTorch'],
      layers.map((layer) => {
        const other = peerOf(layer);
        return [
          layer.name,
          ms(layer.ms),
          ...(other === undefined ? [] : [ms(other), times(other / layer.ms)]),
        ];
      }),
      width,
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
