/**
 * The WebAssembly backend, for hosts where neither addon can be built: one CPU thread per worker.
 *
 * It adds the training kernel that the package lacks, the gradient of a convolution by its filter.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { keepNaNInFusedProducts, keepNaNInMaxPool } from './nan.js';

/** Loads the backend into this thread and makes it tfjs's current one. */
export async function useWasm(): Promise<void> {
  const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
  const entry = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  setWasmPaths(join(dirname(entry), '/'));
  registerWasmKernels();
  await tf.setBackend('wasm');
}

function registerWasmKernels(): void {
  const there = tf.getKernel(tf.Conv2DBackpropFilter, 'wasm') as tf.KernelConfig | undefined;
  if (there !== undefined) return;
  keepNaNInMaxPool('wasm');
  keepNaNInFusedProducts('wasm');
  tf.registerKernel({
    kernelName: tf.Conv2DBackpropFilter,
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs }) => {
      const { x, dy } = inputs as unknown as tf.Conv2DBackpropFilterInputs;
      return convolutionFilterGradient(
        x as tf.Tensor4D,
        dy as tf.Tensor4D,
        attrs as unknown as tf.Conv2DBackpropFilterAttrs,
      );
    },
  });
}

/**
 * The filter's gradient is itself a convolution: of the input, with images and channels swapped, by the output's
 * gradient as the filter, dilated by the forward stride.
 *
 * @param x [batch, height, width, in]
 * @param dy [batch, outHeight, outWidth, out]
 * @returns [filterHeight, filterWidth, in, out]
 */
function convolutionFilterGradient(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  { strides, pad, dimRoundingMode, filterShape, dataFormat }: tf.Conv2DBackpropFilterAttrs,
): tf.Tensor4D {
  if (dataFormat !== 'NHWC') throw new Error(`Conv2DBackpropFilter: NHWC only, got ${dataFormat}`);
  const { padInfo, strideHeight, strideWidth, filterHeight, filterWidth, inChannels, outChannels } =
    tf.backend_util.computeConv2DInfo(x.shape, filterShape, strides, 1, pad, dimRoundingMode);
  return tf.tidy(() => {
    const imagesLast = tf.transpose(x, [3, 1, 2, 0]);
    const padded = tf.pad(imagesLast, [
      [0, 0],
      [padInfo.top, padInfo.bottom],
      [padInfo.left, padInfo.right],
      [0, 0],
    ]);
    const byOutput = tf.transpose(dy, [1, 2, 0, 3]);
    const taps = tf.conv2d(padded, byOutput, 1, 'valid', 'NHWC', [strideHeight, strideWidth]);
    // Rows and columns that the stride never reached give extra taps.
    const [channels, height, width, out] = [inChannels, filterHeight, filterWidth, outChannels];
    const used = tf.slice(taps, [0, 0, 0, 0], [channels, height, width, out]);
    return tf.transpose(used, [1, 2, 0, 3]);
  });
}
