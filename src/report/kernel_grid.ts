/**
 * The first layer's kernels as pixels, tower by tower, as in Figure 3 of the paper. Nothing here is of Node, so that pages
 * can draw them too.
 */
import type { Picture } from './markup.js';

/** Canonical weight of a convolution that reads an RGB image: `[kernels, 3, size, size]`. */
export interface KernelWeights {
  shape: number[];
  data: Float32Array;
}

/** Kernels per row, as in Figure 3 of the paper. */
const COLUMNS = 16;
/** Pixels between kernels. */
const GAP = 2;
/** Approximate side of a kernel, pixels. */
const SIDE = 44;

/**
 * The colour selectivity of each kernel,
 *
 *     1 − Σ (grey part)² / Σ w²,   grey part = the mean of a position's R, G and B weights
 *
 * 0: the kernel sees only brightness; 1: it does not respond to grey images; 2/3: the value of random weights.
 * Rafegas and Vanrell's index (*Color encoding in biologically-inspired convolutional neural networks*,
 * Vision Research 151, 2018) is one minus the ratio of a neuron's responses to grey and to coloured images.
 * This is that index for a linear kernel and the energy of its response to white noise, which is Σ w². The
 * paper, section 6.1, only says that one tower's kernels are "largely color-agnostic".
 *
 * @returns an index per kernel; a kernel of zeros counts as 0
 */
export function colourSelectivities({ shape, data }: KernelWeights): number[] {
  const [kernels, , height, width] = shape as [number, number, number, number];
  const area = height * width;
  return Array.from({ length: kernels }, (_, kernel) => {
    let grey = 0;
    let whole = 0;
    for (let position = 0; position < area; position++) {
      const [red, green, blue] = [0, 1, 2].map(
        (channel) => data[(kernel * 3 + channel) * area + position]!,
      ) as [number, number, number];
      grey += (red + green + blue) ** 2 / 3;
      whole += red ** 2 + green ** 2 + blue ** 2;
    }
    return whole > 0 ? 1 - grey / whole : 0;
  });
}

/**
 * The mean selectivity of each tower's kernels.
 *
 * @param towers T; each tower's kernels are a contiguous 1/T of all
 */
export function colourSelectivity(weights: KernelWeights, towers: number): number[] {
  const each = colourSelectivities(weights);
  return Array.from({ length: towers }, (_, tower) => meanOf(ofTower(each, tower, towers)));
}

/** The part of a value per kernel that is of one tower's kernels. */
export function ofTower(each: readonly number[], tower: number, towers: number): number[] {
  return each.slice((tower * each.length) / towers, ((tower + 1) * each.length) / towers);
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * One tower's kernels in a grid. Zero is mid-grey. Each kernel is scaled by its own largest weight, so signs
 * and colours can be compared, but not magnitudes.
 */
export function kernelGrid({ shape, data }: KernelWeights, towers: number, tower: number): Picture {
  const [kernels, , height, width] = shape as [number, number, number, number];
  const count = kernels / towers;
  const columns = Math.min(COLUMNS, count);
  const scale = Math.max(1, Math.round(SIDE / Math.max(height, width)));
  const [cellWidth, cellHeight] = [width * scale + GAP, height * scale + GAP];
  const picture = {
    width: columns * cellWidth + GAP,
    height: Math.ceil(count / columns) * cellHeight + GAP,
  };
  const pixels = new Uint8Array(picture.width * picture.height * 3).fill(255);
  for (let index = 0; index < count; index++) {
    const area = height * width;
    const kernel = tower * count + index;
    const weights = data.subarray(kernel * 3 * area, (kernel + 1) * 3 * area);
    const largest = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 1e-30);
    const left = GAP + (index % columns) * cellWidth;
    const top = GAP + Math.floor(index / columns) * cellHeight;
    for (let y = 0; y < height * scale; y++) {
      for (let x = 0; x < width * scale; x++) {
        const position = Math.floor(y / scale) * width + Math.floor(x / scale);
        const at = ((top + y) * picture.width + left + x) * 3;
        for (let channel = 0; channel < 3; channel++) {
          const weight = weights[channel * area + position]!;
          pixels[at + channel] = Math.round(127.5 * (1 + weight / largest));
        }
      }
    }
  }
  return { ...picture, pixels };
}
