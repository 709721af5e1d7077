/** Kernels that move values without computing: slices, concatenation, padding, transposition, filling. */
import * as tf from '@tensorflow/tfjs-core';
import type { Inputs, Kernels } from './kernel.js';
import type { ArrayType, DeviceBackend } from './device_backend.js';

export const arrangementKernels: Kernels = {
  Slice: (backend, { x }: Inputs<'x'>, attributes: tf.SliceAttrs) => {
    const [begin, size] = tf.slice_util.parseSliceParams(x, attributes.begin, attributes.size) as [
      number[],
      number[],
    ];
    tf.slice_util.assertParamsValid(x, begin, size);
    const values = backend.arrayOf(x);
    return values && slice(backend, x, values, begin, size);
  },

  SplitV: (backend, { x }: Inputs<'x'>, { numOrSizeSplits, axis }: tf.SplitVAttrs) => {
    const values = backend.arrayOf(x);
    if (!values) return undefined;
    const [along] = tf.util.parseAxisParam(axis, x.shape) as [number];
    const lengths = tf.backend_util.prepareSplitSize(x, numOrSizeSplits, along);
    const begin = x.shape.map(() => 0);
    const parts: tf.TensorInfo[] = [];
    for (const length of lengths) {
      parts.push(slice(backend, x, values, begin, x.shape.with(along, length)));
      begin[along]! += length;
    }
    return parts;
  },

  Concat: (backend, inputs: tf.TensorInfo[], { axis }: tf.ConcatAttrs) => {
    const first = inputs[0]!;
    const [along] = tf.util.parseAxisParam(axis, first.shape) as [number];
    const shapes = inputs.map(({ shape }) => shape);
    tf.backend_util.assertParamsConsistent(shapes, along);
    const parts = inputs.map((input) => backend.arrayOf(input));
    if (inputs.length < 2 || inputs.some(({ dtype }) => dtype !== first.dtype)) return undefined;
    if (parts.some((part) => !part) || shapes.some(isEmpty)) return undefined;
    const shape = tf.backend_util.computeOutShape(shapes, along);
    const out = backend.allocate(shape, first.dtype as ArrayType);
    const origin = shape.map(() => 0);
    let start = 0;
    for (const [index, part] of shapes.entries()) {
      const outStart = origin.with(along, start);
      backend.addon.copyBox(parts[index]!, part, origin, out, shape, outStart, part);
      start += part[along]!;
    }
    return backend.makeTensorInfo(shape, first.dtype, out);
  },

  PadV2: (backend, { x }: Inputs<'x'>, { paddings, constantValue }: tf.PadV2Attrs) => {
    const values = backend.arrayOf(x);
    if (!values || x.shape.length === 0) return undefined;
    const shape = x.shape.map((length, axis) => {
      const [before, after] = paddings[axis]!;
      return before + length + after;
    });
    const out = backend.allocate(shape, x.dtype as ArrayType);
    backend.addon.fill(out, constantValue);
    const outStart = paddings.map(([before]) => before);
    const xStart = x.shape.map(() => 0);
    backend.addon.copyBox(values, x.shape, xStart, out, shape, outStart, x.shape);
    return backend.makeTensorInfo(shape, x.dtype, out);
  },

  Transpose: (backend, { x }: Inputs<'x'>, { perm }: tf.TransposeAttrs) => {
    const values = backend.arrayOf(x);
    if (!values) return undefined;
    const shape = perm.map((axis) => x.shape[axis]!);
    const out = backend.allocate(shape, x.dtype as ArrayType);
    backend.addon.transpose(values, out, x.shape, perm);
    return backend.makeTensorInfo(shape, x.dtype, out);
  },

  Fill: (backend, _inputs: unknown, { shape, value, dtype }: tf.FillAttrs) =>
    fill(backend, shape, value, dtype),

  ZerosLike: (backend, { x }: Inputs<'x'>) => fill(backend, x.shape, 0, x.dtype),

  OnesLike: (backend, { x }: Inputs<'x'>) => fill(backend, x.shape, 1, x.dtype),
};

function isEmpty(shape: number[]): boolean {
  return shape.includes(0);
}

/** A view if the part is contiguous in memory, as on tfjs's CPU backend; else a copy. */
function slice<DeviceArray>(
  backend: DeviceBackend<DeviceArray>,
  { shape, dtype }: tf.TensorInfo,
  values: DeviceArray,
  begin: number[],
  size: number[],
): tf.TensorInfo {
  if (tf.slice_util.isSliceContinous(shape, begin, size)) {
    const start = tf.slice_util.computeFlatOffset(begin, tf.util.computeStrides(shape));
    const view = backend.slice(values, start, start + tf.util.sizeFromShape(size));
    return backend.makeTensorInfo(size, dtype, view);
  }
  const out = backend.allocate(size, dtype as ArrayType);
  const outStart = begin.map(() => 0);
  backend.addon.copyBox(values, shape, begin, out, size, outStart, size);
  return backend.makeTensorInfo(size, dtype, out);
}

function fill<DeviceArray>(
  backend: DeviceBackend<DeviceArray>,
  shape: number[],
  value: string | number,
  dtype: tf.DataType | undefined,
): tf.TensorInfo | undefined {
  if (typeof value !== 'number') return undefined;
  if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool') return undefined;
  const out = backend.allocate(shape, dtype);
  backend.addon.fill(out, value);
  return backend.makeTensorInfo(shape, dtype, out);
}
