/** The GPU's kernels at the real layers' sizes, forward and all gradients, against float64. */
import type { Precision } from '../../src/backend/numerics.js';
import { kernelSource, loadCudaAddon } from '../../src/backend/native/cuda_addon.js';
import { buildNetwork } from '../../src/model/network.js';
import type { Layer, Network } from '../../src/model/network.js';
import { isFollowedByRelu } from '../../src/model/fusion.js';
import { RandomSequence, deriveKey } from '../../src/random.js';
import type { Report } from './figures.js';
import { DeviceArrays } from './device_arrays.js';
import { convolutionChecks, fullyConnectedChecks } from './product_kernels.js';
import { normalizationChecks, poolChecks, trainingChecks } from './other_kernels.js';
import { pooledConvolutionChecks } from './pooled_convolution.js';
import type { Sum } from './references.js';
import { configurationFor, precisionsHere } from './settings.js';
import type { Settings } from './settings.js';

/** One kernel on the arrays of one layer. */
export interface KernelCheck {
  /** Such as `convolution`. */
  kernel: string;
  /** Terms of the longest sum. */
  terms: number;
  /** Elements of the result. */
  length: number;
  /** The reference at one index of the result. */
  at: (index: number) => Sum;
  /** Computes the result on the GPU. */
  run: (precision: Precision) => Float32Array;
  /** Whether the precision matters: it is a product. */
  isProduct: boolean;
}

/**
 * The root mean square of the samples' errors, as a fraction of the root mean square of their scales (`Sum`).
 *
 * - float32: rounding a sum of n terms one after another leaves about 2.5e-8 · √(n/2) of the scale, so 1e-5 is enough for any
 *   n up to 2^16 with a margin of two. Gradients of first layers sum 387,200 positions: the bound grows with √n from there.
 * - tf32: operands keep 11 significant bits, and cutting the others off, as some kernels do, makes a product up to 2 · 2^-10
 *   too small, 0.7e-3 on average.
 * - bf16: operands keep 8 bits, rounded: 2^-9 each at most, 1.6e-3 of a product on average; results may be rounded too.
 *
 * One wrong sample of 200 makes this error 0.07, far beyond each bound.
 */
const BOUNDS: Record<Precision, (terms: number) => number> = {
  float32: (terms) => 1e-5 * Math.max(1, Math.sqrt(terms / 2 ** 16)),
  tf32: () => 2e-3,
  bf16: () => 1e-2,
};

/** No product of float32 operands errs by as much, so an error above shows that operands were rounded. */
const ROUNDED = 5e-5;

/** Where a kernel was farthest from the reference, by its bound. */
interface Worst {
  /** Null if it is of no layer. */
  layer: string | null;
  error: number;
  bound: number;
}

export function checkKernels(settings: Settings, report: Report): Promise<void> {
  const addon = loadCudaAddon();
  addon.openGpu(0, kernelSource(), 1);
  const precisions = precisionsHere(settings);
  const worst = new Map<string, Worst>();
  const rounded = new Map<Precision, number>();
  const note = (key: string, found: Worst): void => {
    const before = worst.get(key);
    // Also if the error is NaN, which no comparison finds.
    if (before === undefined || !(found.error / found.bound <= before.error / before.bound)) {
      worst.set(key, found);
    }
  };
  const take = (layer: string | null, checks: KernelCheck[]): void => {
    for (const check of checks) {
      const samples = samplesOf(check, settings.samples);
      for (const precision of check.isProduct ? precisions : (['float32'] as const)) {
        const error = errorOf(check.run(precision), samples);
        const bound = BOUNDS[precision](check.terms);
        note(`${check.kernel}, ${precision}`, { layer, error, bound });
        if (error > ROUNDED) rounded.set(precision, (rounded.get(precision) ?? 0) + 1);
      }
    }
  };

  const seen = new Set<string>();
  for (const towers of [1, 2]) {
    const { network, data } = configurationFor(settings, settings.kernelBatch, towers);
    const built = buildNetwork(network, towers, data.classes);
    for (const layer of built.layers) {
      const shapes = JSON.stringify([layer.specification, layer.input, layer.output]);
      if (seen.has(shapes)) continue;
      seen.add(shapes);
      const arrays = new DeviceArrays(addon);
      const name = towers === 1 ? layer.name : `a tower's ${layer.name}`;
      take(name, checksOf(built, layer, settings.kernelBatch, arrays));
      arrays.free();
    }
    const arrays = new DeviceArrays(addon);
    const first = built.layers[0]!.name;
    take(
      towers === 1 ? first : `a tower's ${first}`,
      pooledConvolutionChecks(built, settings.kernelBatch, arrays),
    );
    arrays.free();
  }
  const arrays = new DeviceArrays(addon);
  take(null, trainingChecks(settings.kernelBatch, arrays));
  arrays.free();

  for (const [kernel, { layer, error, bound }] of worst) {
    const name = layer === null ? kernel : `${kernel}: ${layer}`;
    report({ name, value: error, bound: { atMost: bound } });
  }
  for (const precision of precisions.filter((one) => one !== 'float32')) {
    const name = `passes whose operands were rounded to ${precision}`;
    report({ name, value: rounded.get(precision) ?? 0, bound: { atLeast: 1 } });
  }
  return Promise.resolve();
}

function checksOf(
  network: Network,
  layer: Layer,
  batch: number,
  arrays: DeviceArrays,
): KernelCheck[] {
  const activation = isFollowedByRelu(network, layer.index) ? 'relu' : 'linear';
  switch (layer.specification.type) {
    case 'conv':
      return convolutionChecks(layer, layer.specification, activation, batch, arrays);
    case 'fc':
      return fullyConnectedChecks(layer, activation, batch, arrays);
    case 'maxPool':
      return poolChecks(layer, layer.specification, batch, arrays);
    case 'lrn':
      return normalizationChecks(layer, layer.specification, batch, arrays);
    default:
      return [];
  }
}

interface Sample {
  index: number;
  reference: Sum;
}

/** References at so many indices, drawn at random, the first and the last among them. */
function samplesOf({ kernel, length, at }: KernelCheck, count: number): Sample[] {
  const random = new RandomSequence(deriveKey(0, kernel, length));
  const indices = Array.from({ length: count }, () => random.below(length));
  return [0, length - 1, ...indices].map((index) => ({ index, reference: at(index) }));
}

function errorOf(values: Float32Array, samples: Sample[]): number {
  let errors = 0;
  let scales = 0;
  for (const { index, reference } of samples) {
    errors += (values[index]! - reference.value) ** 2;
    scales += reference.scale ** 2;
  }
  return Math.sqrt(errors / scales);
}
