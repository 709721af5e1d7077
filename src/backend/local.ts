/**
 * Locally-connected layer: a convolution with stride 1 whose kernels and biases differ from position to position.
 * It is composed of operations that every backend has. The patches under the kernels become columns, and each position
 * has a matrix product of its own.
 *
 * Positions come first and images last, so that one pixel of all images is contiguous. Taking patches, and summing
 * their gradients, is then gathering of rows.
 */
import * as tf from '@tensorflow/tfjs-core';

export interface LocalConvolution {
  /** Height and width of a kernel, pixels. */
  size: number;
  /** Zeros added on each side, pixels. */
  pad: number;
}

/**
 * @param x `[batch, height, width, inChannels]`
 * @param weight `[outHeight · outWidth, size · size · inChannels, outChannels]`
 * @param bias `[outHeight · outWidth, 1, outChannels]`
 * @returns `[batch, outHeight, outWidth, outChannels]`; differentiable once
 */
export function convolveLocally(
  x: tf.Tensor4D,
  weight: tf.Tensor3D,
  bias: tf.Tensor3D,
  window: LocalConvolution,
): tf.Tensor4D {
  const [batch, height, width, channels] = x.shape;
  const [outHeight, outWidth] = [height, width].map((extent) => outputs(extent, window)) as [
    number,
    number,
  ];
  const pixels = tf.reshape<tf.Rank.R2>(tf.transpose(x, [1, 2, 3, 0]), [
    height * width,
    channels * batch,
  ]);
  const rows = patches(pixels, height, width, window);
  const columns = tf.reshape<tf.Rank.R3>(rows, [outHeight * outWidth, -1, batch]);
  const products = tf.add(tf.matMul(columns, weight, true), bias);
  return tf.transpose(tf.reshape(products, [outHeight, outWidth, batch, -1]), [2, 0, 1, 3]);
}

function outputs(extent: number, { size, pad }: LocalConvolution): number {
  return extent + 2 * pad - size + 1;
}

/**
 * - Forward: the pixels under the kernel at each position.
 * - Backward: for each pixel, the sum over the patches that contain it.
 *
 * @param pixels `[height · width, any]`
 * @returns `[positions · size · size, any]`
 */
function patches(
  pixels: tf.Tensor2D,
  height: number,
  width: number,
  window: LocalConvolution,
): tf.Tensor2D {
  const { size, pad } = window;
  const inside = (row: number, rows: number) => row >= 0 && row < rows;
  const area = size * size;
  const [outHeight, outWidth] = [outputs(height, window), outputs(width, window)];
  // An index past the last row selects zeros: there is no pixel, or no patch.
  const seen = new Int32Array(outHeight * outWidth * area).fill(height * width);
  const seenBy = new Int32Array(height * width * area).fill(seen.length);
  for (let row = 0; row < outHeight; row++) {
    for (let column = 0; column < outWidth; column++) {
      for (let shift = 0; shift < area; shift++) {
        const inRow = row - pad + Math.floor(shift / size);
        const inColumn = column - pad + (shift % size);
        if (!inside(inRow, height) || !inside(inColumn, width)) continue;
        const position = (row * outWidth + column) * area + shift;
        const pixel = inRow * width + inColumn;
        seen[position] = pixel;
        seenBy[pixel * area + shift] = position;
      }
    }
  }
  const gathered = tf.customGrad((input) => ({
    value: rowsOrZeros(input as tf.Tensor2D, seen),
    gradFunc: (dy) => {
      const parts = rowsOrZeros(dy as tf.Tensor2D, seenBy);
      return tf.sum(tf.reshape(parts, [height * width, area, -1]), 1);
    },
  }));
  return gathered(pixels) as tf.Tensor2D;
}

/** The rows of `x` with these indices; the row after its last is zeros. */
function rowsOrZeros(x: tf.Tensor2D, rows: Int32Array): tf.Tensor2D {
  const withZeros = tf.concat([x, tf.zeros<tf.Rank.R2>([1, x.shape[1]])]);
  return tf.gather(withZeros, tf.tensor1d(rows, 'int32'));
}
