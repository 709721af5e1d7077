/**
 * Shared by the tests of placements: a small network with everything that the towers do (LRN, dropout, an exchange at
 * conv3 and at the fully-connected layers), and batches of noise.
 */
import { availableBackend, type BackendName, type Device } from '../../src/backend/backend.js';
import type { Configuration } from '../../src/configuration.js';
import type { LayerSpecification } from '../../src/model/layers.js';
import { Coordinator } from '../../src/parallel/coordinator.js';
import type { Placement } from '../../src/parallel/placement.js';
import type { SharedBatch } from '../../src/parallel/shared_batch.js';
import { requireFinite } from '../../src/parallel/step_outcome.js';
import type { StepResult } from '../../src/parallel/step_outcome.js';
import { RandomSequence, deriveKey } from '../../src/random.js';

const recipe = {
  weight: { initialization: 'kaimingUniform' },
  bias: { initialization: 'kaimingUniform', weightDecay: 0, learningRate: 2 },
} as const;

const layers: LayerSpecification[] = [
  { type: 'conv', name: 'conv1', kernels: 16, size: 5, stride: 2, pad: 1, reads: 'all', ...recipe },
  { type: 'relu' },
  { type: 'lrn', size: 5, k: 2, alpha: 0.05, beta: 0.75 },
  { type: 'maxPool', size: 3, stride: 2 },
  { type: 'conv', name: 'conv2', kernels: 16, size: 3, stride: 1, pad: 1, reads: 'own', ...recipe },
  { type: 'relu' },
  { type: 'conv', name: 'conv3', kernels: 24, size: 3, stride: 1, pad: 1, reads: 'all', ...recipe },
  { type: 'relu' },
  { type: 'maxPool', size: 3, stride: 2 },
  { type: 'dropout', name: 'dropout1', rate: 0.5 },
  { type: 'fc', name: 'fc1', units: 32, reads: 'all', ...recipe },
  { type: 'relu' },
  { type: 'dropout', name: 'dropout2', rate: 0.25 },
  { type: 'fc', name: 'fc2', units: 'classes', reads: 'all', ...recipe },
];

export const BATCH = 16;
export const CLASSES = 8;

/** @param seed of initialization and dropout */
export function smallConfiguration(seed: number, towers: number): Configuration {
  return {
    name: 'small',
    comment: 'A test’s network',
    towers,
    network: { input: { height: 31, width: 31, channels: 3 }, layers },
    data: {
      source: 'random',
      directory: null,
      classes: CLASSES,
      mean: [0.5, 0.45, 0.4],
      std: [0.25, 0.25, 0.3],
      view: { type: 'resize' },
      colour: null,
      flip: false,
    },
    training: {
      batch: BATCH,
      epochs: 1,
      steps: null,
      learningRate: 0.05,
      momentum: 0.9,
      weightDecay: 5e-4,
      schedule: { type: 'constant' },
      seed,
    },
    test: { crops: 1, dropout: false },
  };
}

/** Uniform noise and labels, a function of (seed, index). */
export function noiseBatchOf(
  seed: number,
  index: number,
  { height, width } = { height: 31, width: 31 },
): SharedBatch {
  const pixels = new SharedArrayBuffer(BATCH * height * width * 3);
  const labels = new SharedArrayBuffer(BATCH * 4);
  const random = new RandomSequence(deriveKey(seed, 'noise', index));
  const bytes = new Uint8Array(pixels);
  for (let position = 0; position < bytes.length; position++) bytes[position] = random.below(256);
  const classes = new Int32Array(labels);
  for (let image = 0; image < BATCH; image++) classes[image] = random.below(CLASSES);
  return { pixels, labels, count: BATCH };
}

/** CPU workers of one thread each, so that sums are made in one order. */
export function cpuPlacement(workers: number[][]): Placement {
  return workers.map((ranks) => ({ ranks, device: 'cpu', requested: 'cpu', threads: 1 }));
}

export const SEED = 2012;
export const RULE = { learningRate: 0.05, momentum: 0.9, weightDecay: 5e-4 };

/** Runs `work` with a coordinator over `workers`, on the backend that CPU workers take here. */
export function withCoordinator<Result>(
  workers: number[][],
  work: (coordinator: Coordinator) => Promise<Result>,
): Promise<Result> {
  return withCoordinatorOn(availableBackend().backend, workers, work);
}

/** Workers on GPUs. @param gpus the ordinal of each worker's */
export function gpuPlacement(workers: number[][], gpus: number[]): Placement {
  return workers.map((ranks, worker) => {
    const device: Device = `gpu:${gpus[worker]!}`;
    return { ranks, device, requested: device, threads: 1 };
  });
}

/** Opens a coordinator of the small network, with as many towers as there are ranks. */
export function openCoordinator(
  backend: BackendName,
  workers: number[][],
  signal?: AbortSignal,
  placement = cpuPlacement(workers),
): Promise<Coordinator> {
  const towers = workers.flat().length;
  return Coordinator.open({
    configuration: smallConfiguration(SEED, towers),
    towers,
    placement,
    backend,
    batch: BATCH,
    signal,
  });
}

/** Runs `work` with a coordinator over `workers`, and closes it. */
export async function withCoordinatorOn<Result>(
  backend: BackendName,
  workers: number[][],
  work: (coordinator: Coordinator) => Promise<Result>,
  placement = cpuPlacement(workers),
): Promise<Result> {
  const coordinator = await openCoordinator(backend, workers, undefined, placement);
  try {
    return await work(coordinator);
  } finally {
    await coordinator.close();
  }
}

/** Trains steps 1 … count. */
export async function steps(coordinator: Coordinator, count: number): Promise<StepResult[]> {
  const results: StepResult[] = [];
  for (let step = 1; step <= count; step++) {
    results.push(requireFinite(await coordinator.step(step, noiseBatchOf(SEED, step), RULE)));
  }
  return results;
}
