/** Reductions over adjacent dimensions, arg max, softmax. */
import * as tf from '@tensorflow/tfjs-core';
import type { Reduction } from './addon_arrays.js';
import type { Inputs, Kernel, Kernels } from './kernel.js';
import type { ArrayType, DeviceBackend } from './device_backend.js';

export const reductionKernels: Kernels = {
  Sum: reduction('sum', (attributes: tf.SumAttrs) => attributes.axis),
  Mean: reduction('mean', (attributes: tf.MeanAttrs) => attributes.axis),
  Max: reduction('max', (attributes: tf.MaxAttrs) => attributes.reductionIndices),
  Min: reduction('min', (attributes: tf.MinAttrs) => attributes.axis),
  Prod: reduction('prod', (attributes: tf.ProdAttrs) => attributes.axis),

  ArgMax: (backend, { x }: Inputs<'x'>, { axis }: tf.ArgMaxAttrs) => {
    const values = backend.arrayOf(x);
    const sizes = sizesAround(x.shape, axis);
    if (!values || x.dtype === 'bool' || !sizes) return undefined;
    const [axisIndex] = tf.util.parseAxisParam(axis, x.shape);
    const shape = x.shape.filter((_, index) => index !== axisIndex);
    const out = backend.allocate(shape, 'int32');
    backend.addon.argMax(values, out, sizes);
    return backend.makeTensorInfo(shape, 'int32', out);
  },

  Softmax: (backend, { logits }: Inputs<'logits'>, { dim }: tf.SoftmaxAttrs) =>
    softmax(backend, logits, dim, false),

  LogSoftmax: (backend, { logits }: Inputs<'logits'>, { axis }: tf.LogSoftmaxAttrs) =>
    softmax(backend, logits, axis, true),
};

function softmax<DeviceArray>(
  backend: DeviceBackend<DeviceArray>,
  logits: tf.TensorInfo,
  axis: number,
  logarithm: boolean,
): tf.TensorInfo | undefined {
  const values = backend.float32(logits);
  if (!values || (axis !== -1 && axis !== logits.shape.length - 1)) return undefined;
  const out = backend.allocate(logits.shape);
  backend.addon.softmax(values, out, logits.shape.at(-1)!, logarithm);
  return backend.makeTensorInfo(logits.shape, 'float32', out);
}

/** @param axesOf returns the reduced axes from the kernel's attributes */
function reduction<Attributes extends { keepDims: boolean }>(
  operation: Reduction,
  axesOf: (attributes: Attributes) => number | number[],
): Kernel {
  return (backend, { x }: Inputs<'x'>, attributes: Attributes) => {
    const values = backend.arrayOf(x);
    const axes = tf.util.parseAxisParam(axesOf(attributes), x.shape);
    const sizes = sizesAround(x.shape, axes);
    if (!values || x.dtype === 'bool' || !sizes) return undefined;
    if (operation === 'mean' && x.dtype !== 'float32') return undefined;
    const shape = x.shape
      .map((length, index) => (axes.includes(index) ? 1 : length))
      .filter((_, index) => attributes.keepDims || !axes.includes(index));
    const dtype = x.dtype as ArrayType;
    const out = backend.allocate(shape, dtype);
    backend.addon.reduce(operation, values, out, sizes);
    return backend.makeTensorInfo(shape, dtype, out);
  };
}

/** Numbers of elements before, in and after the axes; undefined unless the axes are adjacent. */
function sizesAround(shape: number[], axis: number | number[]): number[] | undefined {
  const axes = tf.util.parseAxisParam(axis, shape).sort((a, b) => a - b);
  const first = axes[0] ?? 0;
  const last = axes.at(-1) ?? -1;
  if (last - first + 1 !== axes.length) return undefined;
  const { sizeFromShape } = tf.util;
  return [shape.slice(0, first), shape.slice(first, last + 1), shape.slice(last + 1)].map((part) =>
    sizeFromShape(part),
  );
}
