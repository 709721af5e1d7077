/** Float64 references of the native addon's kernels, written as their definitions, and random inputs. */
import type { Conv2DInfo } from '../../../src/backend/native/geometry.js';
import { RandomSequence, deriveKey, fillNormal } from '../../../src/random.js';

/** N(0, 1), named so that two of one length differ. */
export function randomFloats(name: string, length: number): Float32Array {
  const values = new Float32Array(length);
  fillNormal(deriveKey(3, name), 0, 1, values);
  return values;
}

export function productOf(sizes: readonly number[]): number {
  return sizes.reduce((product, size) => product * size, 1);
}

/** ‖actual − expected‖ / ‖expected‖. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let difference = 0;
  let magnitude = 0;
  for (let index = 0; index < expected.length; index++) {
    difference += (actual[index]! - expected[index]!) ** 2;
    magnitude += expected[index]! ** 2;
  }
  return Math.sqrt(difference / magnitude);
}

/** A window of odd sizes, whatever of stride, dilation and padding; its output has at least one element. */
export function randomWindow(random: RandomSequence): Conv2DInfo {
  const from = (low: number, high: number): number => low + random.below(high - low + 1);
  const height = dimension(from);
  const width = dimension(from);
  return {
    batchSize: from(1, 3),
    inHeight: height.in,
    inWidth: width.in,
    inChannels: from(1, 20),
    outHeight: height.out,
    outWidth: width.out,
    outChannels: from(1, 35),
    filterHeight: height.filter,
    filterWidth: width.filter,
    strideHeight: height.stride,
    strideWidth: width.stride,
    dilationHeight: height.dilation,
    dilationWidth: width.dilation,
    padInfo: { top: height.before, left: width.before },
  };
}

interface Dimension {
  in: number;
  out: number;
  filter: number;
  stride: number;
  dilation: number;
  before: number;
}

function dimension(from: (low: number, high: number) => number): Dimension {
  const filter = from(1, 5);
  const stride = from(1, 4);
  const dilation = from(1, 2);
  const reach = (filter - 1) * dilation + 1;
  const before = from(0, filter - 1);
  const after = from(0, filter - 1);
  const inSize = reach + from(0, 9);
  const out = Math.floor((inSize + before + after - reach) / stride) + 1;
  return { in: inSize, out, filter, stride, dilation, before };
}

/** Calls `visit` for every position of the window inside x: (image, y, x of the output; tap; in row, column). */
export function forEachTap(
  g: Conv2DInfo,
  visit: (output: number, tap: number, input: number) => void,
): void {
  for (let image = 0; image < g.batchSize; image++) {
    for (let y = 0; y < g.outHeight; y++) {
      for (let x = 0; x < g.outWidth; x++) {
        for (let row = 0; row < g.filterHeight; row++) {
          const inY = y * g.strideHeight + row * g.dilationHeight - g.padInfo.top;
          if (inY < 0 || inY >= g.inHeight) continue;
          for (let column = 0; column < g.filterWidth; column++) {
            const inX = x * g.strideWidth + column * g.dilationWidth - g.padInfo.left;
            if (inX < 0 || inX >= g.inWidth) continue;
            visit(
              (image * g.outHeight + y) * g.outWidth + x,
              row * g.filterWidth + column,
              (image * g.inHeight + inY) * g.inWidth + inX,
            );
          }
        }
      }
    }
  }
}

/** Calls `visit` for every product x · filter → out of a convolution, with the three indices. */
function forEachProduct(
  g: Conv2DInfo,
  visit: (x: number, filter: number, out: number) => void,
): void {
  forEachTap(g, (output, tap, input) => {
    for (let i = 0; i < g.inChannels; i++) {
      for (let o = 0; o < g.outChannels; o++) {
        visit(
          input * g.inChannels + i,
          (tap * g.inChannels + i) * g.outChannels + o,
          output * g.outChannels + o,
        );
      }
    }
  });
}

export function inputLength(g: Conv2DInfo): number {
  return g.batchSize * g.inHeight * g.inWidth * g.inChannels;
}

export function filterLength(g: Conv2DInfo): number {
  return g.filterHeight * g.filterWidth * g.inChannels * g.outChannels;
}

export function outputLength(g: Conv2DInfo): number {
  return g.batchSize * g.outHeight * g.outWidth * g.outChannels;
}

export function convolution(
  g: Conv2DInfo,
  x: Float32Array,
  filter: Float32Array,
  bias: Float32Array | null,
): Float64Array {
  const sums = Float64Array.from({ length: outputLength(g) }, (_, index) =>
    bias === null ? 0 : bias[index % g.outChannels]!,
  );
  forEachProduct(g, (xIndex, filterIndex, outIndex) => {
    sums[outIndex]! += x[xIndex]! * filter[filterIndex]!;
  });
  return sums;
}

export function convolutionInputGradient(
  g: Conv2DInfo,
  dy: Float32Array,
  filter: Float32Array,
): Float64Array {
  const sums = new Float64Array(inputLength(g));
  forEachProduct(g, (xIndex, filterIndex, outIndex) => {
    sums[xIndex]! += dy[outIndex]! * filter[filterIndex]!;
  });
  return sums;
}

export function convolutionFilterGradient(
  g: Conv2DInfo,
  x: Float32Array,
  dy: Float32Array,
): Float64Array {
  const sums = new Float64Array(filterLength(g));
  forEachProduct(g, (xIndex, filterIndex, outIndex) => {
    sums[filterIndex]! += x[xIndex]! * dy[outIndex]!;
  });
  return sums;
}

/** [m, k] · [k, n] for each of `batch`, a batch of 1 repeated, each transposed in memory where said. */
export function product(
  a: Float32Array,
  b: Float32Array,
  [aBatch, bBatch, m, k, n]: readonly [number, number, number, number, number],
  transposeA: boolean,
  transposeB: boolean,
): Float64Array {
  const batch = Math.max(aBatch, bBatch);
  const sums = new Float64Array(batch * m * n);
  for (let image = 0; image < batch; image++) {
    const aStart = aBatch === 1 ? 0 : image * m * k;
    const bStart = bBatch === 1 ? 0 : image * k * n;
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let i = 0; i < k; i++) {
          const left = a[aStart + (transposeA ? i * m + row : row * k + i)]!;
          const right = b[bStart + (transposeB ? column * k + i : i * n + column)]!;
          sum += left * right;
        }
        sums[(image * m + row) * n + column] = sum;
      }
    }
  }
  return sums;
}
