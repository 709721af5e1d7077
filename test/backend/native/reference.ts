/**
 * Convolution, pooling and LRN by the plain loops of their definitions, in float64: what the addon's
 * kernels are held against. NHWC and HWIO, as `backend_util` counts windows and padding.
 */
import type * as tf from '@tensorflow/tfjs-core';

type Info = tf.backend_util.Conv2DInfo;

/** Every product of a convolution: the indices of its output, input and filter elements. */
function forEachProduct(
  info: Info,
  visit: (output: number, input: number, filter: number) => void,
): void {
  const { outHeight, outWidth, outChannels, inHeight, inWidth, inChannels } = info;
  for (let image = 0; image < info.batchSize; image++) {
    for (let row = 0; row < outHeight; row++) {
      for (let column = 0; column < outWidth; column++) {
        for (let fr = 0; fr < info.filterHeight; fr++) {
          for (let fc = 0; fc < info.filterWidth; fc++) {
            const inRow = row * info.strideHeight - info.padInfo.top + fr * info.dilationHeight;
            const inColumn =
              column * info.strideWidth - info.padInfo.left + fc * info.dilationWidth;
            if (inRow < 0 || inRow >= inHeight || inColumn < 0 || inColumn >= inWidth) continue;
            const output = ((image * outHeight + row) * outWidth + column) * outChannels;
            const input = ((image * inHeight + inRow) * inWidth + inColumn) * inChannels;
            const filter = (fr * info.filterWidth + fc) * inChannels * outChannels;
            for (let from = 0; from < inChannels; from++) {
              for (let to = 0; to < outChannels; to++) {
                visit(output + to, input + from, filter + from * outChannels + to);
              }
            }
          }
        }
      }
    }
  }
}

const sizeOf = (shape: number[]): number => shape.reduce((product, length) => product * length, 1);

export function convolution(info: Info, x: Float32Array, filter: Float32Array): Float64Array {
  const out = new Float64Array(sizeOf(info.outShape));
  forEachProduct(info, (o, i, f) => (out[o]! += x[i]! * filter[f]!));
  return out;
}

export function convolutionInputGradient(
  info: Info,
  dy: Float32Array,
  filter: Float32Array,
): Float64Array {
  const dx = new Float64Array(sizeOf(info.inShape));
  forEachProduct(info, (o, i, f) => (dx[i]! += dy[o]! * filter[f]!));
  return dx;
}

export function convolutionFilterGradient(
  info: Info,
  x: Float32Array,
  dy: Float32Array,
): Float64Array {
  const dFilter = new Float64Array(sizeOf(info.filterShape));
  forEachProduct(info, (o, i, f) => (dFilter[f]! += x[i]! * dy[o]!));
  return dFilter;
}

/** Every window: the index of its output, and those of its inputs in row-major order. */
function forEachWindow(info: Info, visit: (output: number, inputs: number[]) => void): void {
  const { outHeight, outWidth, inHeight, inWidth, inChannels } = info;
  for (let image = 0; image < info.batchSize; image++) {
    for (let row = 0; row < outHeight; row++) {
      for (let column = 0; column < outWidth; column++) {
        for (let channel = 0; channel < inChannels; channel++) {
          const inputs: number[] = [];
          for (let fr = 0; fr < info.filterHeight; fr++) {
            for (let fc = 0; fc < info.filterWidth; fc++) {
              const inRow = row * info.strideHeight - info.padInfo.top + fr;
              const inColumn = column * info.strideWidth - info.padInfo.left + fc;
              if (inRow < 0 || inRow >= inHeight || inColumn < 0 || inColumn >= inWidth) continue;
              inputs.push(((image * inHeight + inRow) * inWidth + inColumn) * inChannels + channel);
            }
          }
          visit(((image * outHeight + row) * outWidth + column) * inChannels + channel, inputs);
        }
      }
    }
  }
}

const largest = (x: Float32Array, inputs: number[]): number =>
  inputs.reduce((best, index) => (x[index]! > x[best]! ? index : best));

export function maxPool(info: Info, x: Float32Array): Float64Array {
  const out = new Float64Array(sizeOf(info.outShape));
  forEachWindow(info, (output, inputs) => (out[output] = x[largest(x, inputs)]!));
  return out;
}

export function maxPoolGradient(info: Info, x: Float32Array, dy: Float32Array): Float64Array {
  const dx = new Float64Array(x.length);
  forEachWindow(info, (output, inputs) => (dx[largest(x, inputs)]! += dy[output]!));
  return dx;
}

/** Positions outside the input are not counted. */
export function averagePool(info: Info, x: Float32Array): Float64Array {
  const out = new Float64Array(sizeOf(info.outShape));
  forEachWindow(info, (output, inputs) => {
    out[output] = inputs.reduce((sum, index) => sum + x[index]!, 0) / inputs.length;
  });
  return out;
}

/** Every window's gradient in equal parts of the whole window, as tfjs's own backends have it. */
export function averagePoolGradient(info: Info, dy: Float32Array): Float64Array {
  const dx = new Float64Array(sizeOf(info.inShape));
  const size = info.filterHeight * info.filterWidth;
  forEachWindow(info, (output, inputs) => {
    for (const index of inputs) dx[index]! += dy[output]! / size;
  });
  return dx;
}

export interface Normalization {
  radius: number;
  bias: number;
  alpha: number;
  beta: number;
}

/** s of every element, and the elements in its window. */
function scaleOf(
  x: Float32Array,
  channels: number,
  { radius, bias, alpha }: Normalization,
  index: number,
): { scale: number; window: number[] } {
  const start = index - (index % channels);
  const window: number[] = [];
  for (let other = index - radius; other <= index + radius; other++) {
    if (other >= start && other < start + channels) window.push(other);
  }
  return { scale: bias + alpha * window.reduce((sum, other) => sum + x[other]! ** 2, 0), window };
}

export function normalization(
  x: Float32Array,
  channels: number,
  recipe: Normalization,
): Float64Array {
  return Float64Array.from(x, (value, index) => {
    return value * scaleOf(x, channels, recipe, index).scale ** -recipe.beta;
  });
}

export function normalizationGradient(
  x: Float32Array,
  dy: Float32Array,
  channels: number,
  recipe: Normalization,
): Float64Array {
  const { alpha, beta } = recipe;
  const dx = new Float64Array(x.length);
  for (let index = 0; index < x.length; index++) {
    const { scale, window } = scaleOf(x, channels, recipe, index);
    dx[index]! += dy[index]! * scale ** -beta;
    for (const other of window) {
      dx[other]! -= 2 * alpha * beta * x[other]! * x[index]! * dy[index]! * scale ** (-beta - 1);
    }
  }
  return dx;
}
