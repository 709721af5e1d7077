/** Kernels that select or place elements by index: gathering, one-hot rows, tiling. */
import * as tf from '@tensorflow/tfjs';
import type { Inputs, Kernels } from './kernel.js';
import type { ArrayOf } from './native_backend.js';

export const indexingKernels: Kernels = {
  GatherV2: (
    backend,
    { x, indices }: Inputs<'x' | 'indices'>,
    { axis, batchDims }: tf.GatherV2Attrs,
  ) => {
    const values = backend.valuesOf(x);
    const chosen = backend.valuesOf(indices);
    if (!values || !(chosen instanceof Int32Array) || batchDims !== 0) return undefined;
    const [along] = tf.util.parseAxisParam(axis, x.shape) as [number];
    const length = x.shape[along]!;
    // tfjs's own kernel reports an index out of range in tfjs's words.
    if (chosen.some((index) => index < 0 || index >= length)) return undefined;
    const { outerSize, sliceSize, outputShape } =
      tf.backend_util.segment_util.collectGatherOpShapeInfo(x, indices, along, 0);
    const out = backend.allocate(outputShape, x.dtype as keyof ArrayOf);
    backend.addon.gather(values, chosen, out, [outerSize, length, sliceSize]);
    return backend.makeTensorInfo(outputShape, x.dtype, out);
  },

  OneHot: (
    backend,
    { indices }: Inputs<'indices'>,
    { dtype, depth, onValue, offValue }: tf.OneHotAttrs,
  ) => {
    const values = backend.valuesOf(indices);
    if (!(values instanceof Int32Array) || depth < 1) return undefined;
    const shape = [...indices.shape, depth];
    const out = backend.allocate(shape, dtype as keyof ArrayOf);
    backend.addon.oneHot(values, out, depth, onValue, offValue);
    return backend.makeTensorInfo(shape, dtype, out);
  },

  Tile: (backend, { x }: Inputs<'x'>, { reps }: tf.TileAttrs) => {
    const values = backend.valuesOf(x);
    if (!values) return undefined;
    const shape = x.shape.map((length, axis) => length * reps[axis]!);
    const out = backend.allocate(shape, x.dtype as keyof ArrayOf);
    backend.addon.tile(values, out, x.shape, reps);
    return backend.makeTensorInfo(shape, x.dtype, out);
  },
};
