/** Kernels that select or place elements by index: gathering, one-hot rows, tiling. */
import * as tf from '@tensorflow/tfjs-core';
import type { Inputs, Kernels } from './kernel.js';
import type { ArrayType } from './device_backend.js';

export const indexingKernels: Kernels = {
  GatherV2: (
    backend,
    { x, indices }: Inputs<'x' | 'indices'>,
    { axis, batchDims }: tf.GatherV2Attrs,
  ) => {
    const values = backend.arrayOf(x);
    const chosen = backend.arrayOf(indices);
    if (!values || !chosen || indices.dtype !== 'int32' || batchDims !== 0) return undefined;
    const [along] = tf.util.parseAxisParam(axis, x.shape) as [number];
    const length = x.shape[along]!;
    const { outerSize, sliceSize, outputShape } =
      tf.backend_util.segment_util.collectGatherOpShapeInfo(x, indices, along, 0);
    const out = backend.allocate(outputShape, x.dtype as ArrayType);
    try {
      backend.addon.gather(values, chosen, out, [outerSize, length, sliceSize]);
    } catch (error) {
      // tfjs's own kernel reports an index out of range in the words that its users know.
      if (error instanceof RangeError) return undefined;
      throw error;
    }
    return backend.makeTensorInfo(outputShape, x.dtype, out);
  },

  OneHot: (
    backend,
    { indices }: Inputs<'indices'>,
    { dtype, depth, onValue, offValue }: tf.OneHotAttrs,
  ) => {
    const values = backend.arrayOf(indices);
    if (!values || indices.dtype !== 'int32' || depth < 1) return undefined;
    const shape = [...indices.shape, depth];
    const out = backend.allocate(shape, dtype as ArrayType);
    backend.addon.oneHot(values, out, depth, onValue, offValue);
    return backend.makeTensorInfo(shape, dtype, out);
  },

  Tile: (backend, { x }: Inputs<'x'>, { reps }: tf.TileAttrs) => {
    const values = backend.arrayOf(x);
    if (!values) return undefined;
    const shape = x.shape.map((length, axis) => length * reps[axis]!);
    const out = backend.allocate(shape, x.dtype as ArrayType);
    backend.addon.tile(values, out, x.shape, reps);
    return backend.makeTensorInfo(shape, x.dtype, out);
  },
};
