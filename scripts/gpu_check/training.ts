/** Training on GPUs against other placements, the CPU, finite differences, itself resumed, and a limit of memory. */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Configuration } from '../../src/configuration.js';
import { kernelSource, loadCudaAddon } from '../../src/backend/native/cuda_addon.js';
import { train } from '../../src/library/train.js';
import { Coordinator } from '../../src/parallel/coordinator.js';
import type { Placement } from '../../src/parallel/placement.js';
import type { SharedBatch } from '../../src/parallel/shared_batch.js';
import { requireFinite } from '../../src/parallel/step_outcome.js';
import { chooseCheckpoint } from '../../src/runs/checkpoint_reader.js';
import { RunEvents } from '../../src/runs/events.js';
import { REPEATED_NOTE } from '../../src/parallel/repeated_step.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { noiseBatch } from '../../src/training/comparison.js';
import { compareWithFiniteDifferences } from '../../src/training/gradient_check.js';
import { usableCores } from '../../src/usable_cores.js';
import { gpuPlacement } from '../../test/parallel/two_placements.js';
import type { Report } from './figures.js';
import { configurationFor, GENERATED, pairsHere } from './settings.js';
import type { Settings } from './settings.js';

/**
 * Of a gradient against the finite difference along it. The loss bends along the smallest gradient, of the first layer's bias,
 * which is off by 0.7 % on the CPU too. A wrong gradient is off by much more.
 */
const GRADIENT_BOUND = 0.02;
/** Of losses. Float32 sums in another order differ by about √n · 6e-8, and training carries that on. */
const SPLIT_BOUND = 1e-5;
/** Of losses. Kernels of two devices sum in quite other orders. */
const CPU_BOUND = 1e-4;

const BOTH = [[0, 1]];
const EACH = [[0], [1]];

/** Runs `work` with two towers, and closes them. */
async function withTowers<Result>(
  configuration: Configuration,
  placement: Placement,
  work: (coordinator: Coordinator, batch: SharedBatch) => Promise<Result>,
): Promise<Result> {
  const { batch } = configuration.training;
  const noise = await noiseBatch(configuration);
  const opened = { configuration, placement, towers: 2, backend: 'native', batch } as const;
  const coordinator = await Coordinator.open(opened);
  try {
    return await work(coordinator, noise);
  } finally {
    await coordinator.close();
  }
}

/** Trains on one batch of noise, and calls `afterStep` with each loss. */
async function trainSteps(
  configuration: Configuration,
  placement: Placement,
  steps: number,
  afterStep: (step: number, loss: number) => void,
): Promise<void> {
  await withTowers(configuration, placement, async (coordinator, batch) => {
    for (let step = 1; step <= steps; step++) {
      const outcome = await coordinator.step(step, batch, configuration.training);
      afterStep(step, requireFinite(outcome).loss);
    }
  });
}

async function lossesOn(
  configuration: Configuration,
  placement: Placement,
  steps: number,
): Promise<number[]> {
  const losses: number[] = [];
  await trainSteps(configuration, placement, steps, (_, loss) => losses.push(loss));
  return losses;
}

/** The largest relative difference of a step. */
function largestDifference(actual: number[], expected: number[]): number {
  return Math.max(...actual.map((loss, step) => Math.abs(loss / expected[step]! - 1)));
}

/** Every gradient of two towers on one GPU, and on two where there are. */
export async function checkGradients(settings: Settings, report: Report): Promise<void> {
  const configuration = configurationFor(settings, settings.batch, 2);
  for (const pair of pairsHere()) {
    const checks = await withTowers(configuration, gpuPlacement(EACH, pair), (coordinator, batch) =>
      compareWithFiniteDifferences(coordinator, batch),
    );
    for (const { parameter, relativeError } of checks) {
      const name = `gpus ${pair.join(',')}: ${parameter}`;
      report({ name, value: relativeError, bound: { atMost: GRADIENT_BOUND } });
    }
  }
}

/** The losses of two towers, split and on the CPU, against both on one worker of the first GPU. */
export async function checkPlacements(settings: Settings, report: Report): Promise<void> {
  const { training, ...rest } = configurationFor(settings, settings.batch, 2);
  const { learningRate } = settings;
  const configuration = { ...rest, training: { ...training, learningRate } };
  const losses = (placement: Placement) => lossesOn(configuration, placement, settings.steps);
  const grouped = await losses(gpuPlacement(BOTH, [0]));
  report({ name: 'steps', value: grouped.length });
  report({ name: 'first loss', value: grouped[0]! });
  report({ name: 'last loss', value: grouped.at(-1)! });
  for (const pair of pairsHere()) {
    const value = largestDifference(await losses(gpuPlacement(EACH, pair)), grouped);
    report({ name: `split over gpus ${pair.join(',')}`, value, bound: { atMost: SPLIT_BOUND } });
  }
  const onCpu = await losses([
    { ranks: [0, 1], device: 'cpu', requested: 'cpu', threads: usableCores() },
  ]);
  const value = largestDifference(grouped, onCpu);
  report({ name: 'against the CPU', value, bound: { atMost: CPU_BOUND } });
}

/** Steps that are repeated as CUDA graphs against the same steps computed anew: losses and time. */
export async function checkGraphs(settings: Settings, report: Report): Promise<void> {
  const { steps } = settings;
  report({ name: 'steps', value: steps });
  const split = pairsHere().map((pair) => ({
    name: `split over gpus ${pair.join(',')}`,
    placement: gpuPlacement(EACH, pair),
  }));
  for (const { name, placement } of [
    { name: 'grouped', placement: gpuPlacement(BOTH, [0]) },
    ...split,
  ]) {
    const anew = await timedSteps(settings, placement, 'never');
    const repeated = await timedSteps(settings, placement, 'always');
    const { repeatingWorkers: value } = repeated;
    report({ name: `${name}: workers that repeat`, value, bound: { atLeast: placement.length } });
    const differing = repeated.losses.filter((loss, step) => loss !== anew.losses[step]).length;
    report({ name: `${name}: losses that differ`, value: differing, bound: { atMost: 0 } });
    report({ name: `${name}, computed anew`, value: anew.milliseconds, unit: 'ms/step' });
    report({ name: `${name}, repeated`, value: repeated.milliseconds, unit: 'ms/step' });
  }
}

/** Losses, the time of a step after the first fifth of them, and how many workers repeat the last one. */
async function timedSteps(
  settings: Settings,
  placement: Placement,
  graphs: 'never' | 'always',
): Promise<{ losses: number[]; milliseconds: number; repeatingWorkers: number }> {
  process.env['TWOTOWER_CUDA_GRAPHS'] = graphs;
  const configuration = configurationFor(settings, settings.batch, 2);
  const { steps } = settings;
  const untimed = Math.ceil(steps / 5);
  const losses: number[] = [];
  let began = 0;
  let repeatingWorkers = 0;
  await withTowers(configuration, placement, async (coordinator, batch) => {
    for (let step = 1; step <= steps; step++) {
      const outcome = await coordinator.step(step, batch, configuration.training);
      const { loss, timings } = requireFinite(outcome);
      losses.push(loss);
      repeatingWorkers = timings.filter(({ notes }) =>
        notes?.some((note) => note.startsWith(REPEATED_NOTE)),
      ).length;
      if (step === untimed) began = performance.now();
    }
  });
  const milliseconds = (performance.now() - began) / (steps - untimed);
  return { losses, milliseconds, repeatingWorkers };
}

/** A run that is stopped in the middle and resumed, against one that is not. */
export async function checkResume(settings: Settings, report: Report): Promise<void> {
  const { network, batch, resumedSteps } = settings;
  const common = { gpus: [0, 0], requireGpu: true, testLimit: batch, checkpointMinutes: 0 };
  const recipe = { ...network, batch, steps: resumedSteps, towers: 2, overrides: GENERATED };
  const [straight, parted] = ['straight', 'parted'].map((name) => join(tmpdir(), name));
  await train({ ...common, ...recipe, out: straight });
  const stop = new AbortController();
  const events = new RunEvents();
  events.on('step', ({ step }) => {
    if (step === Math.floor(resumedSteps / 2)) stop.abort();
  });
  const stopped = await train({
    ...{ ...common, ...recipe, out: parted, events, signal: stop.signal },
  });
  report({ name: 'stopped after step', value: stopped.steps, bound: { atMost: resumedSteps - 1 } });
  const { steps } = await train({ ...common, resume: parted! });
  report({ name: 'resumed to step', value: steps, bound: { atLeast: resumedSteps } });
  const [one, other] = [straight, parted].map((path) => {
    const { files } = chooseCheckpoint(openRunFolder(path!));
    return [files.model, files.optimizer].map((file) => readFileSync(file));
  });
  const value = one!.filter((bytes, file) => !bytes.equals(other![file]!)).length;
  report({ name: 'files of tensors that differ', value, bound: { atMost: 0 } });
}

/**
 * The memory in use after many steps of two towers on one GPU, against a fifth of them. It counts what other processes use, so
 * nothing else may start or end on the GPU meanwhile.
 */
export async function checkMemory(settings: Settings, report: Report): Promise<void> {
  const { memorySteps } = settings;
  const addon = loadCudaAddon();
  addon.openGpu(0, kernelSource(), 1);
  const used: number[] = [];
  const configuration = configurationFor(settings, settings.batch, 2);
  await trainSteps(configuration, gpuPlacement(EACH, [0, 0]), memorySteps, (step) => {
    if (step !== Math.ceil(memorySteps / 5) && step !== memorySteps) return;
    const { free, total } = addon.memory();
    used.push(total - free);
  });
  const [early, late] = used as [number, number];
  report({ name: 'steps', value: memorySteps });
  report({ name: 'in use at a fifth of them', value: early / 2 ** 20, unit: 'MiB' });
  const value = (late - early) / 2 ** 20;
  report({ name: 'growth by the last', value, unit: 'MiB', bound: { atMost: 0 } });
}
