/** A convolution with its ReLU and the max pooling after it, and its gradients; float32, NHWC. */
import * as tf from '@tensorflow/tfjs-core';
import {
  CONVOLUTION_MAX_POOL,
  CONVOLUTION_MAX_POOL_PARAMETER_GRADIENTS,
  type ConvolutionMaxPoolAttributes,
} from '../own_kernels.js';
import { convolutionGeometry, poolGeometry } from './geometry.js';
import type { Inputs, Kernels } from './kernel.js';

type Shape4D = [number, number, number, number];

export const convolutionPoolKernels: Kernels = {
  [CONVOLUTION_MAX_POOL]: (
    backend,
    { x, filter, bias }: Inputs<'x' | 'filter' | 'bias'>,
    attributes: ConvolutionMaxPoolAttributes,
  ) => {
    const [values, weights, biases] = [x, filter, bias].map((tensor) => backend.float32(tensor));
    if (!values || !weights || !biases) return undefined;
    const { convolution, pool } = sizesOf(x.shape, filter.shape, attributes);
    const out = backend.allocate(pool.outShape);
    const positions = backend.allocate(pool.outShape, 'bool');
    backend.addon.conv2dMaxPool(
      values,
      weights,
      biases,
      out,
      positions,
      convolutionGeometry(convolution),
      poolGeometry(pool),
      backend.precision,
    );
    return [
      backend.makeTensorInfo(pool.outShape, 'float32', out),
      backend.makeTensorInfo(pool.outShape, 'bool', positions),
    ];
  },

  [CONVOLUTION_MAX_POOL_PARAMETER_GRADIENTS]: (
    backend,
    { x, dy, positions }: Inputs<'x' | 'dy' | 'positions'>,
    attributes: ConvolutionMaxPoolAttributes & { filterShape: number[] },
  ) => {
    const [values, gradient] = [x, dy].map((tensor) => backend.float32(tensor));
    const where = backend.arrayOf(positions);
    if (!values || !gradient || !where) return undefined;
    const { convolution, pool } = sizesOf(x.shape, attributes.filterShape, attributes);
    const dFilter = backend.allocate(convolution.filterShape);
    const dBias = backend.allocate([convolution.outChannels]);
    backend.addon.conv2dMaxPoolBackpropFilter(
      values,
      gradient,
      where,
      dFilter,
      dBias,
      convolutionGeometry(convolution),
      poolGeometry(pool),
      backend.precision,
    );
    return [
      backend.makeTensorInfo(convolution.filterShape, 'float32', dFilter),
      backend.makeTensorInfo([convolution.outChannels], 'float32', dBias),
    ];
  },
};

function sizesOf(
  xShape: number[],
  filterShape: number[],
  { strides, pad, poolSize, poolStrides, poolPad }: ConvolutionMaxPoolAttributes,
): { convolution: tf.backend_util.Conv2DInfo; pool: tf.backend_util.Conv2DInfo } {
  const { computeConv2DInfo, computePool2DInfo } = tf.backend_util;
  const [of, by] = [xShape as Shape4D, filterShape as Shape4D];
  const convolution = computeConv2DInfo(of, by, strides, 1, pad);
  const pool = computePool2DInfo(convolution.outShape, poolSize, poolStrides, 1, poolPad);
  return { convolution, pool };
}
