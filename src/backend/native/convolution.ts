/** Convolutions and their gradients, float32, NHWC. */
import * as tf from '@tensorflow/tfjs-core';
import { CONVOLUTION_PARAMETER_GRADIENTS } from '../own_kernels.js';
import { convolutionGeometry } from './geometry.js';
import type { Activation } from '../numerics.js';
import type { Inputs, Kernels } from './kernel.js';
import type { DeviceBackend } from './device_backend.js';

/** The attributes that Conv2D, its gradients and FusedConv2D share. */
type ConvolutionAttributes = Omit<tf.Conv2DAttrs, 'dilations'> & {
  dilations?: tf.Conv2DAttrs['dilations'];
};

export const convolutionKernels: Kernels = {
  Conv2D: (backend, { x, filter }: Inputs<'x' | 'filter'>, attributes: tf.Conv2DAttrs) =>
    convolve(backend, x, filter, undefined, attributes, 'linear'),

  FusedConv2D: (
    backend,
    { x, filter, bias }: Inputs<'x' | 'filter'> & Partial<Inputs<'bias'>>,
    attributes: tf.FusedConv2DAttrs,
  ) => {
    const { activation } = attributes;
    if (activation !== 'linear' && activation !== 'relu') return undefined;
    return convolve(backend, x, filter, bias, attributes, activation);
  },

  Conv2DBackpropInput: (
    backend,
    { dy, filter }: Inputs<'dy' | 'filter'>,
    attributes: tf.Conv2DBackpropInputAttrs,
  ) => {
    const gradient = backend.float32(dy);
    const weights = backend.float32(filter);
    const info = convolutionOf(attributes.inputShape, filter.shape, attributes);
    if (!gradient || !weights || !info) return undefined;
    // tfjs lets a transposed convolution ask for an input that does not fit, and leaves part of dy out.
    if (!tf.util.arraysEqual(dy.shape, info.outShape)) return undefined;
    const dx = backend.allocate(info.inShape);
    const geometry = convolutionGeometry(info);
    backend.addon.conv2dBackpropInput(gradient, weights, dx, geometry, backend.precision);
    return backend.makeTensorInfo(info.inShape, 'float32', dx);
  },

  Conv2DBackpropFilter: (
    backend,
    { x, dy }: Inputs<'x' | 'dy'>,
    attributes: tf.Conv2DBackpropFilterAttrs,
  ) => parameterGradients(backend, x, dy, attributes, null)?.[0],

  [CONVOLUTION_PARAMETER_GRADIENTS]: (
    backend,
    { x, dy }: Inputs<'x' | 'dy'>,
    attributes: tf.Conv2DBackpropFilterAttrs,
  ) => {
    const shape = [dy.shape[3]!];
    const dBias = backend.allocate(shape);
    const gradients = parameterGradients(backend, x, dy, attributes, dBias);
    return gradients && [...gradients, backend.makeTensorInfo(shape, 'float32', dBias)];
  },
};

function convolve<DeviceArray>(
  backend: DeviceBackend<DeviceArray>,
  x: tf.TensorInfo,
  filter: tf.TensorInfo,
  bias: tf.TensorInfo | undefined,
  attributes: ConvolutionAttributes,
  activation: Activation,
): tf.TensorInfo | undefined {
  const values = backend.float32(x);
  const weights = backend.float32(filter);
  const biases = bias && backend.float32(bias);
  const info = convolutionOf(x.shape, filter.shape, attributes);
  if (!values || !weights || !info) return undefined;
  if (bias && (!biases || tf.util.sizeFromShape(bias.shape) !== info.outChannels)) return undefined;
  const out = backend.allocate(info.outShape);
  backend.addon.conv2d(
    values,
    weights,
    biases ?? null,
    out,
    convolutionGeometry(info),
    activation,
    backend.precision,
  );
  return backend.makeTensorInfo(info.outShape, 'float32', out);
}

/** The gradient by the filter, and by the bias into `dBias`. */
function parameterGradients<DeviceArray>(
  backend: DeviceBackend<DeviceArray>,
  x: tf.TensorInfo,
  dy: tf.TensorInfo,
  attributes: tf.Conv2DBackpropFilterAttrs,
  dBias: DeviceArray | null,
): [tf.TensorInfo] | undefined {
  const values = backend.float32(x);
  const gradient = backend.float32(dy);
  const info = convolutionOf(x.shape, attributes.filterShape, attributes);
  if (!values || !gradient || !info) return undefined;
  const dFilter = backend.allocate(info.filterShape);
  backend.addon.conv2dBackpropFilter(
    values,
    gradient,
    dFilter,
    dBias,
    convolutionGeometry(info),
    backend.precision,
  );
  return [backend.makeTensorInfo(info.filterShape, 'float32', dFilter)];
}

/** The convolution's sizes; undefined unless it is NHWC. */
function convolutionOf(
  xShape: number[],
  filterShape: number[],
  { strides, pad, dataFormat, dimRoundingMode, dilations = 1 }: ConvolutionAttributes,
): tf.backend_util.Conv2DInfo | undefined {
  if (dataFormat !== 'NHWC') return undefined;
  return tf.backend_util.computeConv2DInfo(
    xShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    strides,
    dilations,
    pad,
    dimRoundingMode,
  );
}
