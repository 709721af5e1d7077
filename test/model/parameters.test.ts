import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { buildNetwork } from '../../src/model/network.js';
import {
  initialValues,
  layerOf,
  shareOf,
  toCanonicalLayout,
  toComputingLayout,
} from '../../src/model/parameters.js';
import { CLASSES, smallConfiguration } from '../parallel/two_placements.js';

const SEED = 3;
const grouped = buildNetwork(smallConfiguration(SEED, 2).network, 2, CLASSES);

const parameterNamed = (name: string): (typeof grouped.parameters)[number] =>
  grouped.parameters.find((parameter) => parameter.name === name)!;

before(async () => {
  await tf.setBackend('cpu');
});

test('the ranks’ shares of a parameter cover it once', () => {
  for (const parameter of grouped.parameters) {
    const size = parameter.shape.reduce((product, extent) => product * extent, 1);
    const [first, second] = [0, 1].map((rank) => shareOf(parameter, rank, 2));
    assert.equal(first!.start, 0);
    assert.equal(second!.start, first!.length);
    assert.equal(second!.start + second!.length, size);
  }
});

test('initial values are one sequence, whatever it is divided among', () => {
  const parameter = parameterNamed('fc1.weight');
  const whole = initialValues(parameter, 0, 1, SEED);
  const parts = [0, 1, 2, 3].flatMap((rank) => [...initialValues(parameter, rank, 4, SEED)]);
  assert.deepEqual(parts, [...whole]);
});

test('Kaiming-uniform values fill ±1/√fan-in, as torch.nn.Linear’s', () => {
  const parameter = parameterNamed('fc1.weight');
  const bound = 1 / Math.sqrt(parameter.fanIn);
  const values = initialValues(parameter, 0, 1, SEED);
  const largest = Math.max(...values.map(Math.abs));
  assert.ok(largest <= Math.fround(bound) && largest > 0.99 * bound, `${largest} of ${bound}`);
});

test('normal and constant initializations are what they say', () => {
  const parameter = parameterNamed('conv3.weight');
  const values = initialValues({ ...parameter, initialization: { normal: 0.03 } }, 0, 1, SEED);
  const deviation = Math.hypot(...values) / Math.sqrt(values.length);
  assert.ok(Math.abs(deviation - 0.03) < 0.03 * (5 / Math.sqrt(2 * values.length)));
  const ones = initialValues({ ...parameter, initialization: 1 }, 0, 1, SEED);
  assert.ok(ones.every((value) => value === 1));
});

test('a convolution’s weights [out, in, kh, kw] become [kh, kw, in, out]', () => {
  const parameter = parameterNamed('conv2.weight');
  const { shape } = shareOf(parameter, 1, 2);
  const [out, input, height, width] = shape as [number, number, number, number];
  const values = initialValues(parameter, 1, 2, SEED);
  const tensor = toComputingLayout(layerOf(grouped, parameter), shape, values);
  assert.deepEqual(tensor.shape, [height, width, input, out]);
  const at = (o: number, i: number, h: number, w: number): number =>
    values[((o * input + i) * height + h) * width + w]!;
  const data = tensor.dataSync();
  assert.equal(data[((1 * width + 2) * input + 3) * out + 5], at(5, 3, 1, 2));
});

test('a fully-connected layer’s C,H,W inputs become H,W,C', () => {
  const parameter = parameterNamed('fc1.weight');
  const layer = layerOf(grouped, parameter);
  const { height, width, channels } = layer.input;
  const { shape } = shareOf(parameter, 0, 2);
  const values = initialValues(parameter, 0, 2, SEED);
  const data = toComputingLayout(layer, shape, values).dataSync();
  const [out, features] = shape as [number, number];
  const [c, h, w, o] = [4, height - 1, 0, 7];
  assert.equal(
    data[((h * width + w) * channels + c) * out + o],
    values[o * features + (c * height + h) * width + w],
  );
});

test('the way back gives the same values', () => {
  for (const parameter of grouped.parameters) {
    const layer = layerOf(grouped, parameter);
    const { shape } = shareOf(parameter, 1, 2);
    const values = initialValues(parameter, 1, 2, SEED);
    const back = toCanonicalLayout(layer, toComputingLayout(layer, shape, values));
    assert.deepEqual(back, values, parameter.name);
  }
});
