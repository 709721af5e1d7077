/**
 * Local response normalization across channels (Krizhevsky et al. 2012, section 3.3): one kernel if the backend has a
 * fast one, else composed of matrix products and element-wise operations, which every device has. TensorFlow's own
 * kernel exists for the CPU only, and takes 2.3 times as long there as the composed form, forward and backward at
 * [128, 27, 27, 96].
 */
import * as tf from '@tensorflow/tfjs-core';
import { hasKernel, LOCAL_RESPONSE_NORMALIZATION } from './own_kernels.js';
import { noteNormalized } from './pool_gradient.js';

export interface LocalResponseNormalization {
  /** Size of the window: channels, or pixels in height and width; odd. */
  size: number;
  k: number;
  /** Multiplies the plain sum of squares. */
  alpha: number;
  beta: number;
}

/**
 * y[c] = x[c] · s[c]^−β with s[c] = k + α · Σ x[c′]² over the `size` channels around c; channels outside
 * count as 0.
 * @param x float32 [batch, height, width, channels]
 * @returns the same shape; differentiable once
 */
export function localResponseNormalization(
  x: tf.Tensor4D,
  { size, k, alpha, beta }: LocalResponseNormalization,
): tf.Tensor4D {
  if (hasKernel(LOCAL_RESPONSE_NORMALIZATION)) {
    const attributes = { depthRadius: (size - 1) / 2, bias: k, alpha, beta };
    const y: tf.Tensor4D = tf.engine().runKernel(LOCAL_RESPONSE_NORMALIZATION, { x }, attributes);
    noteNormalized(y, attributes);
    return y;
  }
  const channels = x.shape[3];
  return normalized(x, { k, alpha, beta }, (values, factor) => {
    const rows = tf.reshape<tf.Rank.R2>(values, [-1, channels]);
    return tf.reshape(tf.matMul(rows, windowSums(channels, size, factor)), x.shape);
  });
}

/**
 * `localResponseNormalization` over the `size` × `size` positions around each one in the same channel: the 2012
 * source's `rnorm`. Positions outside the map count as 0.
 */
export function withinMapNormalization(
  x: tf.Tensor4D,
  { size, k, alpha, beta }: LocalResponseNormalization,
): tf.Tensor4D {
  const radius = (size - 1) / 2;
  const widths: [number, number][] = [
    [0, 0],
    [radius, radius],
    [radius, radius],
    [0, 0],
  ];
  return normalized(x, { k, alpha, beta }, (values, factor) =>
    // After padding, every window is complete, so its mean times its size is its sum.
    tf.mul(tf.avgPool(tf.pad(values, widths), size, 1, 'valid'), factor * size * size),
  );
}

/** @param sums returns for each value the sum over its window, times the factor; windows must be symmetric */
function normalized(
  x: tf.Tensor4D,
  { k, alpha, beta }: Omit<LocalResponseNormalization, 'size'>,
  sums: (values: tf.Tensor4D, factor: number) => tf.Tensor4D,
): tf.Tensor4D {
  const normalize = tf.customGrad((input, save) => {
    const scale = tf.add<tf.Tensor4D>(sums(tf.square(input as tf.Tensor4D), alpha), k);
    const power = negativePower(scale, beta);
    (save as (tensors: tf.Tensor[]) => void)([input as tf.Tensor4D, scale, power]);
    return {
      value: tf.mul(input as tf.Tensor4D, power),
      // dx = dy·s^−β − 2αβ · x · Σ dy·x·s^−β / s, the sum over the same window, which is symmetric.
      gradFunc: (dy, saved) => {
        const [x, scale, power] = saved as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
        const direct = tf.mul<tf.Tensor4D>(dy, power);
        const shares = tf.div<tf.Tensor4D>(tf.mul(direct, x), scale);
        return tf.sub(direct, tf.mul(x, sums(shares, 2 * alpha * beta)));
      },
    };
  });
  return normalize(x) as tf.Tensor4D;
}

/** `[channels, channels]`; multiplying by it from the right gives `factor` times the sum over each window. */
function windowSums(channels: number, size: number, factor: number): tf.Tensor2D {
  const radius = (size - 1) / 2;
  const band = new Float32Array(channels * channels);
  for (let row = 0; row < channels; row++) {
    const end = Math.min(channels - 1, row + radius);
    band.fill(factor, row * channels + Math.max(0, row - radius), row * channels + end + 1);
  }
  return tf.tensor2d(band, [channels, channels]);
}

/** scale^−β. Roots are several times faster than powers, and β is 3/4 in practice. */
function negativePower(scale: tf.Tensor, beta: number): tf.Tensor {
  if (beta !== 0.75) return tf.pow(scale, -beta);
  const root = tf.rsqrt(scale);
  return tf.mul(root, tf.sqrt(root));
}
