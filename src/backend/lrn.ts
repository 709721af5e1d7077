/**
 * Local response normalization across channels (Krizhevsky et al. 2012, section 3.3), composed of matrix
 * products and element-wise operations, which every device has, or by the native backend's own kernel.
 * TensorFlow's exist for the CPU only, and take 2.3 times as long there, forward and backward at
 * [128, 27, 27, 96].
 */
import * as tf from '@tensorflow/tfjs';

export interface LocalResponseNormalization {
  /** Channels in the window, odd. */
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
  if (tf.getBackend() === 'native') {
    return tf.localResponseNormalization(x, (size - 1) / 2, k, alpha, beta);
  }
  const channels = x.shape[3];
  const normalize = tf.customGrad((input, save) => {
    const rows = tf.reshape(input as tf.Tensor4D, [-1, channels]);
    const scale = tf.add(tf.matMul(tf.square(rows), windowSums(channels, size, alpha)), k);
    const power = negativePower(scale, beta);
    (save as (tensors: tf.Tensor[]) => void)([rows, scale, power]);
    return {
      value: tf.reshape(tf.mul(rows, power), x.shape),
      // dx = dy·s^−β − 2αβ · x · Σ dy·x·s^−β / s, the sum over the same window, which is symmetric.
      gradFunc: (dy, saved) => {
        const [rows, scale, power] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
        const direct = tf.mul(tf.reshape(dy, rows.shape), power);
        const shares = tf.div<tf.Tensor2D>(tf.mul(direct, rows), scale);
        const sums = tf.matMul(shares, windowSums(channels, size, 2 * alpha * beta));
        return tf.reshape(tf.sub(direct, tf.mul(rows, sums)), x.shape);
      },
    };
  });
  return normalize(x) as tf.Tensor4D;
}

/** [channels, channels]: multiplied from the right it gives `factor` times the sum over each window. */
function windowSums(channels: number, size: number, factor: number): tf.Tensor2D {
  const radius = (size - 1) / 2;
  const band = new Float32Array(channels * channels);
  for (let row = 0; row < channels; row++) {
    const end = Math.min(channels - 1, row + radius);
    band.fill(factor, row * channels + Math.max(0, row - radius), row * channels + end + 1);
  }
  return tf.tensor2d(band, [channels, channels]);
}

/** scale^−β; roots are several times faster than powers, and 3/4 is the β that everyone uses. */
function negativePower(scale: tf.Tensor, beta: number): tf.Tensor {
  if (beta !== 0.75) return tf.pow(scale, -beta);
  const root = tf.rsqrt(scale);
  return tf.mul(root, tf.sqrt(root));
}
