/** NaN in one element of an operand is still there in the result, on every backend: it cannot hide a divergence. */
import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import {
  BACKEND_NAMES,
  prepareProcess,
  useBackend,
  whyMissing,
} from '../../src/backend/backend.js';
import { convolve, fullyConnect } from '../../src/backend/fused.js';
import { convolveLocally } from '../../src/backend/local.js';
import { localResponseNormalization, withinMapNormalization } from '../../src/backend/lrn.js';
import { reluGradient } from '../../src/backend/relu_gradient.js';
import { randomTensor } from './random_tensor.js';

/** Random operands of a kernel by name. */
type Operands = Record<string, tf.Tensor>;

interface Case {
  kernel: string;
  shapes: Record<string, number[]>;
  compute: (operands: Operands) => tf.Tensor;
}

const convolution = (kernel: string, channels: number, size: number, stride: number): Case => ({
  kernel,
  shapes: { x: [2, 13, 13, channels], filter: [size, size, channels, 64], bias: [64] },
  compute: ({ x, filter, bias }) =>
    convolve(
      x as tf.Tensor4D,
      filter as tf.Tensor4D,
      bias as tf.Tensor1D,
      stride,
      stride === 1 ? 'same' : 'valid',
      'relu',
    ),
});

const normalization = { size: 3, k: 2, alpha: 0.1, beta: 0.75 };
const pool = (x: tf.Tensor): tf.Tensor => tf.maxPool(x as tf.Tensor4D, 3, 2, 'valid');
const lrn = (x: tf.Tensor): tf.Tensor =>
  localResponseNormalization(x as tf.Tensor4D, normalization);
const rnorm = (x: tf.Tensor): tf.Tensor => withinMapNormalization(x as tf.Tensor4D, normalization);

const CASES: Case[] = [
  convolution('convolution with ReLU, stride 4', 3, 5, 4),
  convolution('convolution with ReLU, stride 1', 16, 5, 1),
  // Large enough for Winograd's algorithm.
  convolution('convolution with ReLU, 3 × 3', 64, 3, 1),
  {
    kernel: 'matrix product with ReLU',
    shapes: { x: [4, 33], weight: [33, 16], bias: [16] },
    compute: ({ x, weight, bias }) =>
      fullyConnect(x as tf.Tensor2D, weight as tf.Tensor2D, bias as tf.Tensor1D, 'relu'),
  },
  { kernel: 'ReLU', shapes: { x: [101] }, compute: ({ x }) => tf.relu(x!) },
  {
    kernel: 'gradient of ReLU',
    shapes: { dy: [101] },
    compute: ({ dy }) => reluGradient(dy!, tf.ones([101])),
  },
  { kernel: 'max pooling', shapes: { x: [2, 9, 9, 5] }, compute: ({ x }) => pool(x!) },
  {
    kernel: 'max pooling past the far edges',
    shapes: { x: [2, 8, 8, 5] },
    compute: ({ x }) => tf.maxPool(x as tf.Tensor4D, 3, 2, 'same'),
  },
  {
    kernel: 'gradient of max pooling',
    shapes: { dy: [2, 4, 4, 5] },
    compute: ({ dy }) => tf.grad(pool)(randomTensor('x', [2, 9, 9, 5]), dy),
  },
  {
    kernel: 'gradient of max pooling of nothing but NaN',
    shapes: { dy: [2, 4, 4, 5] },
    compute: ({ dy }) => tf.grad(pool)(tf.fill([2, 9, 9, 5], NaN), dy),
  },
  { kernel: 'LRN', shapes: { x: [2, 3, 3, 16] }, compute: ({ x }) => lrn(x!) },
  {
    kernel: 'gradient of LRN',
    shapes: { x: [2, 3, 3, 16], dy: [2, 3, 3, 16] },
    compute: ({ x, dy }) => tf.grad(lrn)(x!, dy),
  },
  { kernel: 'within-map LRN', shapes: { x: [2, 7, 7, 4] }, compute: ({ x }) => rnorm(x!) },
  {
    kernel: 'gradient of within-map LRN',
    shapes: { x: [2, 7, 7, 4], dy: [2, 7, 7, 4] },
    compute: ({ x, dy }) => tf.grad(rnorm)(x!, dy),
  },
  {
    kernel: 'local layer with ReLU',
    shapes: { x: [2, 5, 5, 4], weight: [25, 36, 6], bias: [25, 1, 6] },
    compute: ({ x, weight, bias }) =>
      tf.relu(
        convolveLocally(x as tf.Tensor4D, weight as tf.Tensor3D, bias as tf.Tensor3D, {
          size: 3,
          pad: 1,
        }),
      ),
  },
];

const holdsNaN = (tensor: tf.Tensor): boolean => tensor.dataSync().some(Number.isNaN);

/** The operands, with NaN in the middle of the one named `spoiled`. */
function operandsOf({ kernel, shapes }: Case, spoiled: string | null): Operands {
  const entries = Object.entries(shapes).map(([name, shape]): [string, tf.Tensor] => {
    const tensor = randomTensor(`${kernel} ${name}`, shape as [number]);
    if (name !== spoiled) return [name, tensor];
    const values = tensor.dataSync<'float32'>().slice();
    values[values.length >> 1] = NaN;
    return [name, tf.tensor(values, shape)];
  });
  return Object.fromEntries(entries);
}

for (const backend of BACKEND_NAMES) {
  const missing = whyMissing(backend);

  suite(`on ${backend} NaN stays`, { skip: missing === null ? false : missing }, () => {
    before(async () => {
      prepareProcess();
      await useBackend({ backend, device: 'cpu', threads: 1 });
    });

    for (const one of CASES) {
      for (const operand of Object.keys(one.shapes)) {
        test(`in ${one.kernel}: ${operand}`, () => {
          assert.ok(holdsNaN(one.compute(operandsOf(one, operand))));
        });
      }
    }
  });
}
