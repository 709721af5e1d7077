/**
 * Single outputs of kernels in float64, by their definitions. Computing all outputs of the real layers would take minutes, so
 * the GPU check samples some.
 */
import type { Conv2DInfo } from '../../src/backend/native/geometry.js';

/** A sum, and the root of the sum of its terms' squares, which is its size where signs are random. */
export class Sum {
  value = 0;
  private squares = 0;

  add(term: number): void {
    this.value += term;
    this.squares += term * term;
  }

  get scale(): number {
    return Math.sqrt(this.squares);
  }

  /** Replaces the value by 0 if that is greater. */
  rectify(): this {
    this.value = Math.max(0, this.value);
    return this;
  }
}

/** An array's index as positions [image, y, x, channel] of NHWC. */
function positionOf(index: number, height: number, width: number, channels: number) {
  const pixel = Math.floor(index / channels);
  const row = Math.floor(pixel / width);
  return {
    image: Math.floor(row / height),
    y: row % height,
    x: pixel % width,
    channel: index % channels,
  };
}

const rowOfInput = (g: Conv2DInfo, image: number, y: number, x: number): number =>
  ((image * g.inHeight + y) * g.inWidth + x) * g.inChannels;

const rowOfOutput = (g: Conv2DInfo, image: number, y: number, x: number): number =>
  ((image * g.outHeight + y) * g.outWidth + x) * g.outChannels;

/** A convolution with bias, at one index of its output. */
export function convolutionAt(
  g: Conv2DInfo,
  x: Float32Array,
  filter: Float32Array,
  bias: Float32Array,
  index: number,
): Sum {
  const out = positionOf(index, g.outHeight, g.outWidth, g.outChannels);
  const sum = new Sum();
  sum.add(bias[out.channel]!);
  for (let row = 0; row < g.filterHeight; row++) {
    const inY = out.y * g.strideHeight + row - g.padInfo.top;
    if (inY < 0 || inY >= g.inHeight) continue;
    for (let column = 0; column < g.filterWidth; column++) {
      const inX = out.x * g.strideWidth + column - g.padInfo.left;
      if (inX < 0 || inX >= g.inWidth) continue;
      const from = rowOfInput(g, out.image, inY, inX);
      const tap = (row * g.filterWidth + column) * g.inChannels;
      for (let channel = 0; channel < g.inChannels; channel++) {
        const weight = filter[(tap + channel) * g.outChannels + out.channel]!;
        sum.add(x[from + channel]! * weight);
      }
    }
  }
  return sum;
}

/** The gradient of a convolution by its input, at one index of that. */
export function inputGradientAt(
  g: Conv2DInfo,
  dy: Float32Array,
  filter: Float32Array,
  index: number,
): Sum {
  const into = positionOf(index, g.inHeight, g.inWidth, g.inChannels);
  const sum = new Sum();
  for (let row = 0; row < g.filterHeight; row++) {
    const outY = (into.y + g.padInfo.top - row) / g.strideHeight;
    if (!Number.isInteger(outY) || outY < 0 || outY >= g.outHeight) continue;
    for (let column = 0; column < g.filterWidth; column++) {
      const outX = (into.x + g.padInfo.left - column) / g.strideWidth;
      if (!Number.isInteger(outX) || outX < 0 || outX >= g.outWidth) continue;
      const from = rowOfOutput(g, into.image, outY, outX);
      const tap = row * g.filterWidth + column;
      const weights = (tap * g.inChannels + into.channel) * g.outChannels;
      for (let channel = 0; channel < g.outChannels; channel++) {
        sum.add(dy[from + channel]! * filter[weights + channel]!);
      }
    }
  }
  return sum;
}

/** The gradient of a convolution by its filter, at one index of that. */
export function filterGradientAt(
  g: Conv2DInfo,
  x: Float32Array,
  dy: Float32Array,
  index: number,
): Sum {
  const to = index % g.outChannels;
  const from = Math.floor(index / g.outChannels) % g.inChannels;
  const tap = Math.floor(index / (g.outChannels * g.inChannels));
  const row = Math.floor(tap / g.filterWidth);
  const column = tap % g.filterWidth;
  const sum = new Sum();
  for (let image = 0; image < g.batchSize; image++) {
    for (let outY = 0; outY < g.outHeight; outY++) {
      const inY = outY * g.strideHeight + row - g.padInfo.top;
      if (inY < 0 || inY >= g.inHeight) continue;
      for (let outX = 0; outX < g.outWidth; outX++) {
        const inX = outX * g.strideWidth + column - g.padInfo.left;
        if (inX < 0 || inX >= g.inWidth) continue;
        sum.add(
          x[rowOfInput(g, image, inY, inX) + from]! * dy[rowOfOutput(g, image, outY, outX) + to]!,
        );
      }
    }
  }
  return sum;
}

/** The sum of a gradient over all but its last dimension, at one index of that. */
export function biasGradientAt(dy: Float32Array, channels: number, index: number): Sum {
  const sum = new Sum();
  for (let position = index; position < dy.length; position += channels) sum.add(dy[position]!);
  return sum;
}

/** A run of numbers at equal distances. */
interface Strided {
  values: Float32Array;
  start: number;
  step: number;
}

/** Σ a[i] · b[i] over `length` numbers, plus `bias`. */
export function dotProduct(a: Strided, b: Strided, length: number, bias?: number): Sum {
  const sum = new Sum();
  if (bias !== undefined) sum.add(bias);
  for (let index = 0; index < length; index++) {
    sum.add(a.values[a.start + index * a.step]! * b.values[b.start + index * b.step]!);
  }
  return sum;
}

/** The index in x of the first greatest in the window that makes the output `index`. */
export function greatestAt(g: Conv2DInfo, x: Float32Array, index: number): number {
  const out = positionOf(index, g.outHeight, g.outWidth, g.outChannels);
  let greatest = -1;
  for (let row = 0; row < g.filterHeight; row++) {
    const inY = out.y * g.strideHeight + row;
    for (let column = 0; column < g.filterWidth; column++) {
      const inX = out.x * g.strideWidth + column;
      if (inY >= g.inHeight || inX >= g.inWidth) continue;
      const candidate = rowOfInput(g, out.image, inY, inX) + out.channel;
      if (greatest < 0 || x[candidate]! > x[greatest]!) greatest = candidate;
    }
  }
  return greatest;
}

/** The gradient of max pooling by its input, at one index of that: of every window whose first greatest it is. */
export function poolGradientAt(
  g: Conv2DInfo,
  dy: Float32Array,
  x: Float32Array,
  index: number,
): Sum {
  const into = positionOf(index, g.inHeight, g.inWidth, g.inChannels);
  const sum = new Sum();
  for (let outY = 0; outY < g.outHeight; outY++) {
    const row = into.y - outY * g.strideHeight;
    if (row < 0 || row >= g.filterHeight) continue;
    for (let outX = 0; outX < g.outWidth; outX++) {
      const column = into.x - outX * g.strideWidth;
      if (column < 0 || column >= g.filterWidth) continue;
      const output = rowOfOutput(g, into.image, outY, outX) + into.channel;
      if (greatestAt(g, x, output) === index) sum.add(dy[output]!);
    }
  }
  return sum;
}

export interface Normalization {
  channels: number;
  radius: number;
  bias: number;
  alpha: number;
  beta: number;
}

/** Calls `visit` with each index in the window of `index` along the channels. */
function forWindow(
  { channels, radius }: Normalization,
  index: number,
  visit: (other: number) => void,
): void {
  const channel = index % channels;
  const first = Math.max(0, channel - radius);
  const last = Math.min(channels - 1, channel + radius);
  for (let other = first; other <= last; other++) visit(index - channel + other);
}

function scaleAt(n: Normalization, x: Float32Array, index: number): number {
  let squares = 0;
  forWindow(n, index, (other) => (squares += x[other]! ** 2));
  return n.bias + n.alpha * squares;
}

/** Local response normalization at one index. */
export function normalizedAt(n: Normalization, x: Float32Array, index: number): Sum {
  const sum = new Sum();
  sum.add(x[index]! * scaleAt(n, x, index) ** -n.beta);
  return sum;
}

/** Its gradient by x at one index. */
export function normalizationGradientAt(
  n: Normalization,
  dy: Float32Array,
  x: Float32Array,
  index: number,
): Sum {
  const sum = new Sum();
  sum.add(dy[index]! * scaleAt(n, x, index) ** -n.beta);
  const factor = -2 * n.alpha * n.beta * x[index]!;
  forWindow(n, index, (other) =>
    sum.add(factor * dy[other]! * x[other]! * scaleAt(n, x, other) ** (-n.beta - 1)),
  );
  return sum;
}
