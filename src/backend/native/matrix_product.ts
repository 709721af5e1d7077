/** Matrix products, float32. */
import * as tf from '@tensorflow/tfjs-core';
import type { Activation } from '../numerics.js';
import type { Inputs, Kernels } from './kernel.js';
import type { DeviceBackend } from './device_backend.js';

export const matrixProductKernels: Kernels = {
  BatchMatMul: (backend, { a, b }: Inputs<'a' | 'b'>, attributes: tf.BatchMatMulAttrs) =>
    multiply(backend, a, b, undefined, attributes, 'linear'),

  _FusedMatMul: (
    backend,
    { a, b, bias }: Inputs<'a' | 'b'> & Partial<Inputs<'bias'>>,
    attributes: tf._FusedMatMulAttrs,
  ) => {
    const { activation } = attributes;
    if (activation !== 'linear' && activation !== 'relu') return undefined;
    return multiply(backend, a, b, bias, attributes, activation);
  },
};

function multiply<DeviceArray>(
  backend: DeviceBackend<DeviceArray>,
  a: tf.TensorInfo,
  b: tf.TensorInfo,
  bias: tf.TensorInfo | undefined,
  { transposeA, transposeB }: tf.BatchMatMulAttrs,
  activation: Activation,
): tf.TensorInfo | undefined {
  const aValues = backend.float32(a);
  const bValues = backend.float32(b);
  const biases = bias && backend.float32(bias);
  if (!aValues || !bValues) return undefined;
  const [aRows, aColumns] = a.shape.slice(-2) as [number, number];
  const [bRows, bColumns] = b.shape.slice(-2) as [number, number];
  const [m, k] = transposeA ? [aColumns, aRows] : [aRows, aColumns];
  const n = transposeB ? bRows : bColumns;
  if (bias && (!biases || tf.util.sizeFromShape(bias.shape) !== n || bias.shape.at(-1) !== n))
    return undefined;
  const aBatch = tf.util.sizeFromShape(a.shape.slice(0, -2));
  const bBatch = tf.util.sizeFromShape(b.shape.slice(0, -2));
  // If both are repeated, along different dimensions, tfjs pairs them.
  if (aBatch !== bBatch && aBatch !== 1 && bBatch !== 1) return undefined;
  const batches = tf.backend_util.assertAndGetBroadcastShape(
    a.shape.slice(0, -2),
    b.shape.slice(0, -2),
  );
  const shape = [...batches, m, n];
  const out = backend.allocate(shape);
  backend.addon.matMul(
    aValues,
    bValues,
    biases ?? null,
    out,
    [aBatch, bBatch, m, k, n],
    transposeA,
    transposeB,
    activation,
    backend.precision,
  );
  return backend.makeTensorInfo(shape, 'float32', out);
}
