import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { updateParameter } from '../../src/parallel/sgd.js';

before(async () => {
  await tf.setBackend('cpu');
});

test('three updates follow the paper’s rule, in float64', () => {
  const rule = { learningRate: 0.1, momentum: 0.9, weightDecay: 0.01 };
  const gradients = [
    [1, -2],
    [0.5, 3],
    [-4, 0.25],
  ];
  const weight = tf.variable(tf.tensor1d([0.7, -0.3]));
  const velocity = tf.variable(tf.tensor1d([0, 0]));
  const expected = { weight: [0.7, -0.3], velocity: [0, 0] };
  for (const gradient of gradients) {
    updateParameter(weight, velocity, tf.tensor1d(gradient), rule);
    gradient.forEach((g, index) => {
      const w = expected.weight[index]!;
      expected.velocity[index] = 0.9 * expected.velocity[index]! - 0.01 * 0.1 * w - 0.1 * g;
      expected.weight[index] = w + expected.velocity[index];
    });
  }
  // A dozen float32 roundings of numbers below 2.
  const tolerance = 12 * 2 ** -23;
  weight.dataSync().forEach((value, index) => {
    assert.ok(Math.abs(value - expected.weight[index]!) <= tolerance);
  });
  velocity.dataSync().forEach((value, index) => {
    assert.ok(Math.abs(value - expected.velocity[index]!) <= tolerance);
  });
});

test('an update leaves no tensor behind but its check', () => {
  const weight = tf.variable(tf.tensor1d([1, 2]));
  const velocity = tf.variable(tf.tensor1d([0.5, 0.25]));
  const gradient = tf.tensor1d([0.1, 0.2]);
  const before = tf.memory().numTensors;
  const rule = { learningRate: 1, momentum: 0.5, weightDecay: 0.1 };
  updateParameter(weight, velocity, gradient, rule).dispose();
  assert.equal(tf.memory().numTensors, before);
});
