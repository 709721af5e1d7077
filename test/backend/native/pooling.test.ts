import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { convolve } from '../../../src/backend/fused.js';
import { assertClose, assertRan, Draw, skip, useNative } from './native_kernels.js';
import {
  averagePool,
  averagePoolGradient,
  maxPool,
  maxPoolGradient,
  normalization,
  normalizationGradient,
} from './reference.js';

type Shape4D = [number, number, number, number];

interface Case {
  shape: Shape4D;
  filterSize: [number, number];
  strides: [number, number];
  pad: 'valid' | 'same' | tf.backend_util.ExplicitPadding;
}

/** Overlapping windows and windows with gaps, odd and even sizes, one image, channels beside vectors'. */
function randomCases(label: string): Case[] {
  const around: tf.backend_util.ExplicitPadding = [
    [0, 0],
    [1, 1],
    [1, 1],
    [0, 0],
  ];
  const draw = new Draw(label);
  return Array.from({ length: 40 }, () => {
    const height = draw.of(1, 2, 3);
    return {
      shape: [draw.of(1, 2, 4), draw.of(5, 9, 13), draw.of(6, 9, 12), draw.of(1, 3, 16, 17)],
      filterSize: [height, draw.of(2, 3, 5)],
      strides: [draw.of(1, 2, 3), draw.of(1, 2, 4)],
      // Where a whole window lies in the padding there is nothing to compare.
      pad:
        height === 1
          ? draw.of<Case['pad']>('valid', 'same')
          : draw.of<Case['pad']>('valid', 'same', around),
    };
  });
}

function infoOf({ shape, filterSize, strides, pad }: Case): tf.backend_util.Conv2DInfo {
  return tf.backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad, 'floor');
}

const product = (shape: number[]): number => shape.reduce((size, length) => size * length, 1);

test('max pooling and its gradient are those of float64 loops', { skip }, async () => {
  await useNative();
  const draw = new Draw('max pooling');
  for (const example of randomCases('max cases')) {
    const info = infoOf(example);
    const x = draw.values(product(example.shape));
    const dy = draw.values(product(info.outShape));
    const { value, grad } = tf.valueAndGrad((input: tf.Tensor) =>
      tf.maxPool(
        input as tf.Tensor4D,
        example.filterSize,
        example.strides,
        example.pad,
        typeof example.pad === 'string' ? undefined : 'floor',
      ),
    )(tf.tensor4d(x, example.shape), tf.tensor4d(dy, info.outShape));
    const what = JSON.stringify(example);
    assertClose(value.dataSync(), maxPool(info, x), what);
    assertClose(grad.dataSync(), maxPoolGradient(info, x, dy), `gradient ${what}`);
  }
  assertRan('maxPool');
  assertRan('maxPoolGradient');
});

test('of equal greatest values the first of a window gets the gradient', { skip }, async () => {
  await useNative();
  const x = tf.tensor4d([0, 2, 2, 0, 2, 2, 0, 0, 0], [1, 3, 3, 1]);
  const dx = tf.grad((input: tf.Tensor) => tf.maxPool(input as tf.Tensor4D, 2, 1, 'valid'))(
    x,
    tf.tensor4d([1, 10, 100, 1000], [1, 2, 2, 1]),
  );
  assert.deepEqual([...dx.dataSync()], [0, 11, 0, 0, 1100, 0, 0, 0, 0]);
});

test(
  "max pooling takes the gradient of a layer's ReLU with it, unless that is read elsewhere",
  { skip },
  async () => {
    const backend = await useNative();
    const draw = new Draw('pooling after ReLU');
    const x = tf.tensor4d(draw.values(2 * 9 * 9 * 3), [2, 9, 9, 3]);
    const filter = tf.tensor4d(draw.values(3 * 3 * 3 * 20), [3, 3, 3, 20]);
    const bias = tf.tensor1d(draw.values(20));
    let calls = 0;
    const { addon } = backend;
    Object.defineProperty(backend, 'addon', {
      configurable: true,
      value: new Proxy(addon, {
        get: (own, name: keyof typeof addon) => {
          calls += Number(name === 'reluGradient');
          return Reflect.get(own, name) as unknown;
        },
      }),
    });
    const pooled = (y: tf.Tensor4D): tf.Tensor => tf.square(tf.maxPool(y, 3, 2, 'valid'));
    for (const also of [() => tf.scalar(0), (y: tf.Tensor) => tf.sum(tf.square(y))]) {
      const gradient = (activation: 'relu' | 'linear'): Float32Array => {
        calls = 0;
        return tf.tidy(() =>
          tf
            .grad((input: tf.Tensor) => {
              const y = convolve(input as tf.Tensor4D, filter, bias, 1, 'same', activation);
              const active = activation === 'relu' ? y : tf.relu(y);
              return tf.add(tf.sum(pooled(active)), also(active));
            })(x)
            .dataSync<'float32'>(),
        );
      };
      const fused = gradient('relu');
      const taken = calls;
      assert.deepEqual(fused, gradient('linear'));
      assert.deepEqual([taken, calls], also.length === 0 ? [0, 1] : [1, 1]);
    }
  },
);

test('average pooling and its gradient are those of float64 loops', { skip }, async () => {
  await useNative();
  const draw = new Draw('average pooling');
  for (const example of randomCases('average cases')) {
    const info = infoOf(example);
    const x = draw.values(product(example.shape));
    const dy = draw.values(product(info.outShape));
    const { value, grad } = tf.valueAndGrad((input: tf.Tensor) =>
      tf.avgPool(
        input as tf.Tensor4D,
        example.filterSize,
        example.strides,
        example.pad,
        typeof example.pad === 'string' ? undefined : 'floor',
      ),
    )(tf.tensor4d(x, example.shape), tf.tensor4d(dy, info.outShape));
    const what = JSON.stringify(example);
    assertClose(value.dataSync(), averagePool(info, x), what);
    assertClose(grad.dataSync(), averagePoolGradient(info, dy), `gradient ${what}`);
  }
  assertRan('averagePool');
  assertRan('averagePoolGradient');
});

test('local response normalization and its gradient are those of float64', { skip }, async () => {
  await useNative();
  const draw = new Draw('normalization');
  for (let count = 0; count < 20; count++) {
    const channels = draw.of(1, 3, 8, 17, 48);
    const shape: Shape4D = [draw.of(1, 3), draw.of(1, 4), 5, channels];
    const recipe = {
      radius: draw.of(0, 1, 2, 5),
      bias: draw.of(1, 2),
      alpha: draw.of(0.0001, 0.5),
      beta: draw.of(0.5, 0.75, 1.1),
    };
    const x = draw.values(product(shape));
    const dy = draw.values(product(shape));
    const { radius, bias, alpha, beta } = recipe;
    const { value, grad } = tf.valueAndGrad((input: tf.Tensor) =>
      tf.localResponseNormalization(input as tf.Tensor4D, radius, bias, alpha, beta),
    )(tf.tensor4d(x, shape), tf.tensor4d(dy, shape));
    const what = JSON.stringify([shape, recipe]);
    assertClose(value.dataSync(), normalization(x, channels, recipe), what);
    const expected = normalizationGradient(x, dy, channels, recipe);
    assertClose(grad.dataSync(), expected, `gradient ${what}`);
  }
  assertRan('localResponseNormalization');
  assertRan('localResponseNormalizationGradient');
});
