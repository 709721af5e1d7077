/** Pooling and its gradients, float32, NHWC. */
import * as tf from '@tensorflow/tfjs-core';
import { MAX_POOL_OF_NORMALIZED_GRADIENT, MAX_POOL_OF_RELU_GRADIENT } from '../own_kernels.js';
import type { DeviceBackend } from './device_backend.js';
import { poolGeometry } from './geometry.js';
import type { Inputs, Kernels } from './kernel.js';

export const poolingKernels: Kernels = {
  MaxPool: (backend, { x }: Inputs<'x'>, attributes: tf.MaxPoolAttrs) => {
    const values = backend.float32(x);
    const info = poolOf(x.shape, attributes);
    if (!values || isIdentity(info)) return undefined;
    const out = backend.allocate(info.outShape);
    backend.addon.maxPool(values, out, poolGeometry(info));
    return backend.makeTensorInfo(info.outShape, 'float32', out);
  },

  MaxPoolGrad: (
    backend,
    inputs: Inputs<'dy' | 'input' | 'output'>,
    attributes: tf.MaxPoolGradAttrs,
  ) => maxPoolGradient(backend, inputs, attributes, false),

  [MAX_POOL_OF_RELU_GRADIENT]: (
    backend,
    inputs: Inputs<'dy' | 'input' | 'output'>,
    attributes: tf.MaxPoolGradAttrs,
  ) => maxPoolGradient(backend, inputs, attributes, true),

  [MAX_POOL_OF_NORMALIZED_GRADIENT]: (
    backend,
    { dy, x, input, output }: Inputs<'dy' | 'x' | 'input' | 'output'>,
    attributes: tf.MaxPoolGradAttrs & tf.LRNGradAttrs & { ofRelu: boolean },
  ) => {
    const [gradient, values, normalized, y] = [dy, x, input, output].map((tensor) =>
      backend.float32(tensor),
    );
    if (!gradient || !values || !normalized || !y) return undefined;
    const dx = backend.allocate(x.shape);
    const { depthRadius, bias, alpha, beta, ofRelu } = attributes;
    backend.addon.maxPoolOfNormalizedGradient(
      gradient,
      values,
      normalized,
      y,
      dx,
      poolGeometry(poolOf(x.shape, attributes)),
      x.shape[3]!,
      depthRadius,
      bias,
      alpha,
      beta,
      ofRelu,
    );
    return backend.makeTensorInfo(x.shape, 'float32', dx);
  },

  AvgPool: (backend, { x }: Inputs<'x'>, attributes: tf.AvgPoolAttrs) => {
    const values = backend.float32(x);
    const info = poolOf(x.shape, attributes);
    if (!values || isIdentity(info)) return undefined;
    const out = backend.allocate(info.outShape);
    backend.addon.averagePool(values, out, poolGeometry(info));
    return backend.makeTensorInfo(info.outShape, 'float32', out);
  },

  AvgPoolGrad: (
    backend,
    { dy, input }: Inputs<'dy' | 'input'>,
    attributes: tf.AvgPoolGradAttrs,
  ) => {
    const gradient = backend.float32(dy);
    if (!gradient) return undefined;
    const dx = backend.allocate(input.shape);
    const geometry = poolGeometry(poolOf(input.shape, attributes));
    backend.addon.averagePoolGradient(gradient, dx, geometry);
    return backend.makeTensorInfo(input.shape, 'float32', dx);
  },
};

function maxPoolGradient<DeviceArray>(
  backend: DeviceBackend<DeviceArray>,
  { dy, input, output }: Inputs<'dy' | 'input' | 'output'>,
  attributes: tf.MaxPoolGradAttrs,
  ofRelu: boolean,
): tf.TensorInfo | undefined {
  const gradient = backend.float32(dy);
  const x = backend.float32(input);
  const y = backend.float32(output);
  if (!gradient || !x || !y) return undefined;
  const dx = backend.allocate(input.shape);
  const geometry = poolGeometry(poolOf(input.shape, attributes));
  backend.addon.maxPoolGradient(gradient, x, y, dx, geometry, ofRelu);
  return backend.makeTensorInfo(input.shape, 'float32', dx);
}

/** Whether tfjs treats the pooling as the identity, whatever its stride and padding. */
function isIdentity({
  filterHeight,
  filterWidth,
  inShape,
  outShape,
}: tf.backend_util.Conv2DInfo): boolean {
  return filterHeight === 1 && filterWidth === 1 && tf.util.arraysEqual(inShape, outShape);
}

function poolOf(
  xShape: number[],
  {
    filterSize,
    strides,
    pad,
    dimRoundingMode,
  }: Pick<tf.MaxPoolAttrs, 'filterSize' | 'strides' | 'pad'> & Partial<tf.MaxPoolAttrs>,
): tf.backend_util.Conv2DInfo {
  return tf.backend_util.computePool2DInfo(
    xShape as [number, number, number, number],
    filterSize,
    strides,
    1,
    pad,
    dimRoundingMode,
  );
}
