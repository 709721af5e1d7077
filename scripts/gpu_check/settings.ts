/** What the GPU check runs, and how much of it. */
import type { Precision } from '../../src/backend/numerics.js';
import { configurationOf } from '../../src/library/recipe.js';
import type { Recipe } from '../../src/library/recipe.js';
import type { Configuration } from '../../src/configuration.js';
import { loadCudaAddon } from '../../src/backend/native/cuda_addon.js';
import type { CudaGpu } from '../../src/backend/native/cuda_addon.js';

/** Plain data, which is sent to the process of each part. */
export interface Settings {
  /** The network that is checked and timed. It must be divisible by two towers. */
  network: Pick<Recipe, 'preset' | 'config'>;
  precisions: Precision[];
  /** Images in the arrays of the kernels' check. */
  kernelBatch: number;
  /** Outputs of each kernel for which the reference is computed. */
  samples: number;
  /** Images per step where numbers are compared. */
  batch: number;
  /** Steps in which split, grouped and CPU are compared. */
  steps: number;
  /** Of these steps: so large that all layers learn something, which a wrong gradient would change. */
  learningRate: number;
  /** Steps of the resumed run; it is stopped in the middle. */
  resumedSteps: number;
  /** Steps over which the memory in use is watched. */
  memorySteps: number;
  /** Images per step where time is measured. */
  timedBatches: number[];
  /** Timed steps of each placement. */
  timedSteps: number;
  /** Pixels of the JPEGs that both decoders decode. */
  jpegSize: { height: number; width: number };
  /** How many each decoder is timed with. */
  timedJpegs: number;
  /** A Python with PyTorch for CUDA; null if none is given. */
  python: string | null;
  /** Folder with CIFAR-10's binary files; null if none is given. */
  data: string | null;
  /** Test accuracy that the reference's ten epochs must reach, percent. */
  leastAccuracy: number;
}

export const SETTINGS: Settings = {
  network: { preset: 'cifar10-seed' },
  precisions: ['float32', 'tf32', 'bf16'],
  kernelBatch: 128,
  samples: 200,
  batch: 16,
  steps: 50,
  learningRate: 0.02,
  resumedSteps: 12,
  memorySteps: 500,
  timedBatches: [128, 32],
  timedSteps: 20,
  // ImageNet's median.
  jpegSize: { height: 375, width: 500 },
  timedJpegs: 2048,
  python: null,
  data: null,
  // On CPUs it was 45 % in bf16. The network stays at 10 % for half of the run, so that a little rounding moves this a lot.
  leastAccuracy: 30,
};

/** Ampere, the first with bf16 and tf32. */
const REDUCED_CAPABILITY = 8;

/**
 * The GPUs of this machine.
 *
 * @throws Error if the driver shows none
 */
export function gpusHere(): CudaGpu[] {
  const gpus = loadCudaAddon().gpus();
  if (gpus.length === 0) throw new Error('the driver shows no GPU');
  return gpus;
}

/** Those of the settings' precisions that the first GPU has. */
export function precisionsHere({ precisions }: Settings): Precision[] {
  const hasReduced = Number(gpusHere()[0]!.capability) >= REDUCED_CAPABILITY;
  return precisions.filter((precision) => precision === 'float32' || hasReduced);
}

/** The pairs of GPUs for two towers: one that both share and, where there are two, one each. */
export function pairsHere(): [number, number][] {
  return gpusHere().length > 1
    ? [
        [0, 0],
        [0, 1],
      ]
    : [[0, 0]];
}

/** The settings' network on generated images, of its own size and with its own recipe. */
export function configurationFor(
  { network }: Pick<Settings, 'network'>,
  batch: number,
  towers: number,
): Configuration {
  return configurationOf({ ...network, batch, towers, overrides: GENERATED });
}

/** Images that need no files. */
export const GENERATED = {
  data: { source: 'generated', directory: null },
} as const;
