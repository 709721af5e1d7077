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
import { loadConfiguration } from '../src/configuration.js';
import type { Configuration } from '../src/configuration.js';
import { applyLayer } from '../src/model/forward.js';
import { buildNetwork } from '../src/model/network.js';
import type { Layer } from '../src/model/network.js';
import type { Placement } from '../src/parallel/placement.js';
import { quantile, spreadOf } from '../src/report/quantiles.js';
import { formatTable, terminalWidth } from '../src/report/text.js';
import { TimedPlacement, noiseBatch, takeTurns } from '../src/training/comparison.js';

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

  msPerStep(): ReturnType<typeof spreadOf> {
    return spreadOf(this.seconds.map((one) => one * 1000));
  }

  async layers(): Promise<{ name: string; seconds: number }[]> {
    return (await this.ask<{ layers: { name: string; seconds: number }[] }>({ layers: true }))
      .layers;
  }

  close(): void {
    this.process.stdin.end();
  }

  private async ask<Answer>(request: object): Promise<Answer> {
    this.process.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.answers.next();
    if (done === true) throw new Error('the PyTorch peer ended; its own message is above');
    const answer = JSON.parse(value) as Answer & { error?: string };
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

async function main(): Promise<void> {
  const given = await yargs(hideBin(process.argv))
    .usage('npm run bench -- [OPTIONS]')
    .options({
      preset: { type: 'string', default: 'cifar10-seed', describe: 'Network to time' },
      batch: { type: 'number', default: 128 },
      steps: { type: 'number', default: 10, describe: 'Timed steps of each contender' },
      towers: { type: 'number', default: 2, describe: 'Towers of split and grouped' },
      'peer-python': {
        type: 'string',
        describe: 'Python that has PyTorch, to time the same there',
      },
      json: { type: 'boolean', default: false },
    })
    .strict()
    .parse();
  const { preset, batch, steps, towers } = given;
  const configuration = loadConfiguration({ preset, overrides: { training: { batch } } });
  const threads = availableParallelism();
  prepareProcess();
  const { backend } = availableBackend();
  const peer =
    given.peerPython === undefined
      ? undefined
      : await Peer.open(given.peerPython, configuration, threads);

  await useBackend({ backend, device: 'cpu', threads });
  const dense = buildNetwork(configuration.network, 1, configuration.data.classes);
  console.error('single layers …');
  const layers = dense.layers
    .filter(({ parameters }) => parameters.length > 0)
    .map((layer) => ({ name: layer.name, ms: layerMilliseconds(layer, batch) }));
  const peerLayers = (await peer?.layers())?.map(({ name, seconds }) => ({
    name,
    ms: seconds * 1000,
  }));

  const noise = await noiseBatch(configuration);
  const cpu = (workers: number[][]): Placement =>
    workers.map((ranks) => ({
      ranks,
      device: 'cpu',
      requested: 'cpu',
      threads: Math.max(1, Math.floor(threads / workers.length)),
    }));
  const ranks = Array.from({ length: towers }, (_, rank) => rank);
  const candidates = [
    { name: 'split', towers, placement: cpu(ranks.map((rank) => [rank])) },
    { name: 'grouped', towers, placement: cpu([ranks]) },
    { name: 'dense', towers: 1, placement: cpu([[0]]) },
  ] as const;
  const timed: TimedPlacement[] = [];
  for (const candidate of candidates) {
    console.error(`warming up ${candidate.name} …`);
    const placement = await TimedPlacement.open(candidate, configuration, backend, noise);
    await placement.warmUp();
    timed.push(placement);
  }
  await peer?.warmUp();
  console.error(`${steps} steps of each, in turn …`);
  await takeTurns(peer === undefined ? timed : [...timed, peer], steps);

  const denseMs = timed[2]!.msPerStep().median;
  const rows = timed.map((placement) => placement.row(denseMs));
  const peerMs = peer?.msPerStep();
  for (const placement of timed) await placement.close();
  peer?.close();

  if (given.json) {
    console.log(
      JSON.stringify({
        preset,
        batch,
        steps,
        threads,
        backend,
        rows,
        layers,
        peer: peerMs,
        peerLayers,
      }),
    );
    return;
  }
  const ms = (value: number): string => value.toFixed(0);
  const ratio = (median: number): string =>
    peerMs === undefined ? '' : `${(peerMs.median / median).toFixed(2)}×`;
  console.log(
    `${preset}, ${configuration.network.input.height}², batch ${batch}, ${threads} threads, ${backend}, float32; ${steps} steps of each in turn\n`,
  );
  console.log(
    formatTable(
      ['step', 'median ms', 'p10', 'p90', 'images/s', 'against dense', 'against PyTorch'],
      [
        ...rows.map(({ name, msPerStep, imagesPerSecond, speedup }) => [
          name,
          ms(msPerStep.median),
          ms(msPerStep.p10),
          ms(msPerStep.p90),
          imagesPerSecond.toFixed(1),
          `${speedup.toFixed(2)}×`,
          ratio(msPerStep.median),
        ]),
        ...(peerMs === undefined
          ? []
          : [
              [
                'PyTorch dense',
                ms(peerMs.median),
                ms(peerMs.p10),
                ms(peerMs.p90),
                ((batch / peerMs.median) * 1000).toFixed(1),
                `${(denseMs / peerMs.median).toFixed(2)}×`,
                '1.00×',
              ],
            ]),
      ],
      terminalWidth(),
    ),
  );
  console.log('\nparts of a step, milliseconds (mean over the workers)');
  console.log(
    formatTable(
      ['step', 'forward', 'backward', 'copying', 'waiting', 'update', 'copying of step'],
      rows.map(({ name, parts, msPerStep }) => [
        name,
        ms(parts.forwardMs),
        ms(parts.backwardMs),
        parts.exchangeCopyMs.toFixed(1),
        parts.exchangeWaitMs.toFixed(1),
        ms(parts.updateMs),
        `${((100 * parts.exchangeCopyMs) / msPerStep.median).toFixed(2)} %`,
      ]),
      terminalWidth(),
    ),
  );
  console.log('\nsingle layers of the dense network, forward and backward, milliseconds');
  console.log(
    formatTable(
      ['layer', 'twotower', ...(peerLayers === undefined ? [] : ['PyTorch', 'ratio'])],
      layers.map((layer) => {
        const peerMilliseconds = peerLayers?.find(({ name }) => name === layer.name)?.ms;
        return [
          layer.name,
          layer.ms.toFixed(1),
          ...(peerMilliseconds === undefined
            ? []
            : [peerMilliseconds.toFixed(1), `${(peerMilliseconds / layer.ms).toFixed(2)}×`]),
        ];
      }),
      terminalWidth(),
    ),
  );
}

await main();
