/**
 * The seed's recipe here and in PyTorch, step by step in turn, on the same batches from the same initial
 * values: first without dropout, where the losses must agree to 1e-3; then with it, where masks differ and
 * accuracies are compared. Only ratios of times are claimed, as both meet the same load of the machine.
 *
 *     npm run compare:seed -- --data DIR --peer-python venv/bin/python
 *     npm run compare:seed -- --data DIR --peer-python venv/bin/python --steps 5 --dropout-steps 0
 *
 * Exits with 1 where a loss is off by more.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { availableBackend, prepareProcess } from '../src/backend/backend.js';
import type { Configuration } from '../src/configuration.js';
import { openDataset } from '../src/data/dataset.js';
import type { Batch, BatchRing } from '../src/data/batches.js';
import { configurationOf } from '../src/library/recipe.js';
import type { Coordinator } from '../src/parallel/coordinator.js';
import { requireFinite } from '../src/parallel/step_outcome.js';
import type { Placement } from '../src/parallel/placement.js';
import { quantile } from '../src/report/quantiles.js';
import { tensorsIn } from '../src/runs/tensors.js';
import { writeSafetensors } from '../src/runs/safetensors.js';
import { withTowers } from '../src/training/session.js';
import { usableCores } from '../src/usable_cores.js';

/** What the losses without dropout may differ by, relative. */
const TOLERANCE = 1e-3;

interface Step {
  ours: { loss: number; correct: number; ms: number };
  peers: { loss: number; correct: number; ms: number };
  images: number;
}

/** `scripts/seed_peer.py`. */
class SeedPeer {
  private readonly process;
  private readonly answers: AsyncIterator<string>;

  constructor(
    python: string,
    private readonly pixelsOfImage: number,
  ) {
    const script = fileURLToPath(new URL('../../scripts/seed_peer.py', import.meta.url));
    this.process = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.answers = createInterface(this.process.stdout)[Symbol.asyncIterator]();
  }

  async ask<Answer>(request: object, batch?: Batch): Promise<Answer> {
    const { stdin } = this.process;
    stdin.write(`${JSON.stringify(request)}\n`);
    if (batch !== undefined) {
      stdin.write(Buffer.from(new Uint8Array(batch.pixels, 0, batch.count * this.pixelsOfImage)));
      stdin.write(Buffer.from(new Uint8Array(batch.labels, 0, batch.count * 4)));
    }
    const answer = await this.answers.next();
    if (answer.done === true) throw new Error('the PyTorch peer ended; its own message is above');
    return JSON.parse(answer.value) as Answer;
  }

  close(): void {
    this.process.stdin.end();
  }
}

/** As many steps on both sides, in turn, then a test of both. */
async function sideBySide(
  configuration: Configuration,
  python: string,
  steps: number,
  testImages: number,
): Promise<{ taken: Step[]; ours: number; peers: number }> {
  const dataset = await openDataset(configuration.data);
  const threads = usableCores();
  const placement: Placement = [{ ranks: [0], device: 'cpu', requested: 'cpu', threads }];
  const { backend } = availableBackend(undefined);
  const options = { configuration, dataset, statistics: null, towers: 1, placement, backend };
  return withTowers({ ...options, precision: 'float32' }, async (coordinator, ring) => {
    const { network, data, training } = configuration;
    const { height, width, channels } = network.input;
    const peer = new SeedPeer(python, height * width * channels);
    try {
      await prepare(peer, coordinator, {
        network,
        classes: data.classes,
        threads,
        mean: data.mean,
        std: data.std,
        learningRate: training.learningRate,
      });
      const taken = await train(peer, coordinator, ring, configuration, steps);
      return { taken, ...(await test(peer, coordinator, ring, testImages)) };
    } finally {
      peer.close();
    }
  });
}

/** Our initial values become the peer's. */
async function prepare(peer: SeedPeer, coordinator: Coordinator, prepared: object): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'twotower-seed-'));
  try {
    const parameters = join(folder, 'initial.safetensors');
    const { parameters: shared } = await coordinator.store();
    writeSafetensors(parameters, tensorsIn(coordinator.network, shared), { format: 'pt' });
    const { torch } = await peer.ask<{ torch: string }>({ prepare: { ...prepared, parameters } });
    console.error(`PyTorch ${torch}; ${coordinator.workers[0]!.backend}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function train(
  peer: SeedPeer,
  coordinator: Coordinator,
  ring: BatchRing,
  { training }: Configuration,
  steps: number,
): Promise<Step[]> {
  const taken: Step[] = [];
  while (taken.length < steps) {
    const batch = await ring.batchAt({ epoch: 0, batch: taken.length });
    const outcome = await coordinator.step(taken.length + 1, batch, training);
    const { loss, accuracy, stepMs } = requireFinite(outcome);
    const peers = await peer.ask<Step['peers']>({ train: { count: batch.count } }, batch);
    const ours = { loss, correct: Math.round(accuracy * batch.count), ms: stepMs };
    taken.push({ ours, peers, images: batch.count });
    console.error(`step ${taken.length}: loss ${loss.toFixed(6)} and ${peers.loss.toFixed(6)}`);
    batch.release();
  }
  return taken;
}

/** @returns top-1 accuracies, fractions */
async function test(
  peer: SeedPeer,
  coordinator: Coordinator,
  ring: BatchRing,
  images: number,
): Promise<{ ours: number; peers: number }> {
  const { classes } = coordinator.network;
  let [own, others] = [0, 0];
  for await (const batch of ring.test(images)) {
    const logits = await coordinator.logitsOf(batch);
    const labels = new Int32Array(batch.labels, 0, batch.count);
    own += labels.filter((label, image) => label === predicted(logits, image, classes)).length;
    others += (await peer.ask<{ correct: number }>({ test: { count: batch.count } }, batch))
      .correct;
    batch.release();
  }
  const tested = ring.testCount(images);
  return { ours: own / tested, peers: others / tested };
}

/** The class with the largest of an image's logits. */
function predicted(logits: Float32Array, image: number, classes: number): number {
  const row = logits.subarray(image * classes, (image + 1) * classes);
  return row.indexOf(Math.max(...row));
}

/** The parts of `steps` after the first, in which kernels are built. */
function timeRatio(steps: Step[]): number {
  const median = (side: 'ours' | 'peers') =>
    quantile(
      steps.slice(1).map((step) => step[side].ms),
      0.5,
    );
  return median('peers') / median('ours');
}

const given = await yargs(hideBin(process.argv))
  .options({
    data: { type: 'string', demandOption: true, describe: "CIFAR-10's binary files" },
    'peer-python': { type: 'string', demandOption: true, describe: 'A Python with PyTorch' },
    steps: { type: 'number', default: 50, describe: 'Without dropout' },
    'dropout-steps': { type: 'number', default: 300, describe: 'With it' },
    'test-images': { type: 'number', default: 1000, describe: 'For the accuracies at the end' },
    batch: { type: 'number', default: 64 },
  })
  .strict()
  .parseAsync();

prepareProcess();
const seed = configurationOf({ preset: 'cifar10-seed', data: given.data, batch: given.batch });
const withoutDropout = {
  ...seed,
  network: {
    ...seed.network,
    layers: seed.network.layers.filter(({ type }) => type !== 'dropout'),
  },
};
const exact = await sideBySide(withoutDropout, given.peerPython, given.steps, 0);
const differences = exact.taken.map(({ ours, peers }) => Math.abs(ours.loss / peers.loss - 1));
const largest = Math.max(...differences);
console.log(
  `without dropout, ${exact.taken.length} steps: losses differ by up to ${largest.toExponential(1)}, relative; PyTorch's step takes ${timeRatio(exact.taken).toFixed(2)} times ours`,
);
if (given.dropoutSteps > 0) {
  const drawn = await sideBySide(seed, given.peerPython, given.dropoutSteps, given.testImages);
  const last = drawn.taken.slice(-100);
  const accuracy = (side: 'ours' | 'peers') =>
    last.reduce((sum, step) => sum + step[side].correct, 0) /
    last.reduce((sum, { images }) => sum + images, 0);
  const percent = (fraction: number) => `${(100 * fraction).toFixed(2)} %`;
  console.log(
    `with dropout, ${drawn.taken.length} steps: training accuracy of the last ${last.length} ${percent(accuracy('ours'))}, PyTorch's ${percent(accuracy('peers'))}; test ${percent(drawn.ours)}, PyTorch's ${percent(drawn.peers)} of ${given.testImages} images; PyTorch's step takes ${timeRatio(drawn.taken).toFixed(2)} times ours`,
  );
}
if (!(largest <= TOLERANCE)) process.exitCode = 1;
