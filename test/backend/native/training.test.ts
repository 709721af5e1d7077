/** The kernels of ours, against float64 and against the operations that they are composed of elsewhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import {
  convolve,
  convolveAndPool,
  crossEntropy,
  dropoutMask,
  fullyConnect,
} from '../../../src/backend/fused.js';
import { imagesFromBytes, normalizationTable } from '../../../src/backend/images.js';
import { localResponseNormalization } from '../../../src/backend/lrn.js';
import { deriveKey, fillDropoutMask } from '../../../src/random.js';
import { updateParameter } from '../../../src/parallel/sgd.js';
import { assertClose, assertRan, Draw, skip, useNative } from './native_kernels.js';

test('the cross-entropy and its gradient are those of float64', { skip }, async () => {
  await useNative();
  const draw = new Draw('cross-entropy');
  for (const [batch, classes] of [
    [1, 2],
    [7, 10],
    [3, 1000],
  ] as const) {
    const logits = draw.values(batch * classes).map((value) => 30 * value);
    const labels = Int32Array.from({ length: batch }, (_, image) => (image * 7) % classes);
    const { value, grad } = tf.valueAndGrad((x: tf.Tensor) =>
      crossEntropy(x as tf.Tensor2D, tf.tensor1d(labels, 'int32')),
    )(tf.tensor2d(logits, [batch, classes]));
    let loss = 0;
    const gradient = new Float64Array(logits.length);
    for (let image = 0; image < batch; image++) {
      const row = logits.subarray(image * classes, (image + 1) * classes);
      const largest = Math.max(...row);
      const sum = row.reduce((total, logit) => total + Math.exp(logit - largest), 0);
      loss += (largest + Math.log(sum) - row[labels[image]!]!) / batch;
      row.forEach((logit, index) => {
        const probability = Math.exp(logit - largest) / sum;
        const target = index === labels[image] ? 1 : 0;
        gradient[image * classes + index] = (probability - target) / batch;
      });
    }
    assertClose(value.dataSync(), [loss], `loss of ${batch}×${classes}`);
    assertClose(grad.dataSync(), gradient, `gradient of ${batch}×${classes}`);
  }
  assertRan('softmaxCrossEntropy');
});

test('dropout masks are those that every backend draws', { skip }, async () => {
  await useNative();
  for (const [count, rate] of [
    [1, 0.5],
    [1001, 0.5],
    [4096, 0.25],
  ] as const) {
    const key = deriveKey(11, 'mask', count);
    const expected = new Float32Array(count);
    fillDropoutMask(key, rate, expected);
    assert.deepEqual(dropoutMask(key, rate, [count]).dataSync(), expected);
  }
  assertRan('dropoutMask');
});

const RULE = { learningRate: 0.05, momentum: 0.9, weightDecay: 5e-4 };

test('the momentum update is that of float64', { skip }, async () => {
  await useNative();
  const draw = new Draw('update');
  const [w, v, g] = [draw.values(1001), draw.values(1001), draw.values(1001)];
  const weight = tf.variable(tf.tensor1d(w.slice()));
  const velocity = tf.variable(tf.tensor1d(v.slice()));
  const gradient = tf.tensor1d(g);
  const [nextWeight, nextVelocity] = [Float64Array.from(w), Float64Array.from(v)];
  for (let step = 0; step < 3; step++) {
    updateParameter(weight, velocity, gradient, RULE);
    for (let index = 0; index < w.length; index++) {
      nextVelocity[index] =
        0.9 * nextVelocity[index]! - 0.05 * (5e-4 * nextWeight[index]! + g[index]!);
      nextWeight[index]! += nextVelocity[index]!;
    }
  }
  assertClose(weight.dataSync(), nextWeight, 'weight');
  assertClose(velocity.dataSync(), nextVelocity, 'velocity');
  assertRan('momentumUpdate');
});

test('an update does not reach other tensors of the same memory', { skip }, async () => {
  await useNative();
  const array = new Float32Array([1, 2, 3]);
  const initial = tf.tensor1d(array);
  const weight = tf.variable(initial);
  const velocity = tf.variable(tf.zerosLike(weight));
  const copy = tf.clone(velocity);
  updateParameter(weight, velocity, tf.ones([3]), RULE);
  assert.deepEqual([...array], [1, 2, 3]);
  assert.deepEqual([...initial.dataSync()], [1, 2, 3]);
  assert.deepEqual([...copy.dataSync()], [0, 0, 0]);
  const part = tf.slice(weight, [1], [2]);
  const before = [...part.dataSync()];
  updateParameter(weight, velocity, tf.ones([3]), RULE);
  assert.deepEqual([...part.dataSync()], before);
});

test('updates take no new memory', { skip }, async () => {
  const backend = await useNative();
  const weight = tf.variable(tf.ones([1000]));
  const velocity = tf.variable(tf.zeros([1000]));
  const gradient = tf.ones([1000]);
  updateParameter(weight, velocity, gradient, RULE).dispose();
  const { values } = backend.data.get(weight.dataId);
  const { bytesInUse, bytesWaiting } = backend.memory();
  updateParameter(weight, velocity, gradient, RULE).dispose();
  assert.equal(backend.data.get(weight.dataId).values, values);
  const after = backend.memory();
  assert.deepEqual([after.bytesInUse, after.bytesWaiting], [bytesInUse, bytesWaiting]);
});

/**
 * The change of the loss along the gradient's own direction, by central differences, against the
 * gradient's square: off by a share that the float32 loss's rounding (1e-7 of it) and the third
 * derivative leave, about 1e-3 each; a missing or doubled term is off by far more.
 */
function assertGradients(parameters: tf.Tensor[], loss: (...parameters: tf.Tensor[]) => tf.Scalar) {
  const gradients = tf.grads(loss)(parameters);
  gradients.forEach((gradient, which) => {
    const square = tf.sum(tf.square(gradient)).dataSync()[0]!;
    const length = 1e-2 / Math.sqrt(square);
    const lossAt = (distance: number): number => {
      const moved = parameters.map((parameter, index) =>
        index === which ? tf.add(parameter, tf.mul(gradient, distance)) : parameter,
      );
      return loss(...moved).dataSync()[0]!;
    };
    const numeric = (lossAt(length) - lossAt(-length)) / (2 * length);
    const error = Math.abs(numeric - square) / square;
    assert.ok(error < 1e-2, `parameter ${which}: ${numeric} against ${square}`);
  });
}

function random(label: string, shape: number[]): tf.Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  return tf.tensor(new Draw(label).values(size), shape);
}

test(
  'gradients of a convolution that is pooled at once match finite differences',
  { skip },
  async () => {
    await useNative();
    const weights = random('loss', [2, 3, 4, 5]);
    const images = random('x', [2, 7, 8, 3]) as tf.Tensor4D;
    assertGradients([random('filter', [3, 3, 3, 5]), random('bias', [5])], (filter, bias) => {
      const pooled = convolveAndPool(images, filter as tf.Tensor4D, bias as tf.Tensor1D, {
        strides: 1,
        pad: 'same',
        poolSize: 2,
        poolStrides: 2,
        poolPad: 'valid',
      });
      return tf.sum(tf.mul(tf.square(pooled), weights));
    });
    assertRan('conv2dMaxPoolBackpropFilter');
  },
);

for (const activation of ['linear', 'relu'] as const) {
  test(`gradients of a ${activation} convolution match finite differences`, { skip }, async () => {
    await useNative();
    const weights = random('loss', [2, 4, 4, 5]);
    assertGradients(
      [random('x', [2, 7, 8, 3]), random('filter', [3, 3, 3, 5]), random('bias', [5])],
      (x, filter, bias) =>
        tf.sum(
          tf.mul(
            tf.square(
              convolve(
                x as tf.Tensor4D,
                filter as tf.Tensor4D,
                bias as tf.Tensor1D,
                2,
                'same',
                activation,
              ),
            ),
            weights,
          ),
        ),
    );
    assertRan('conv2dBackpropFilter');
  });

  test(
    `gradients of a ${activation} connected layer match finite differences`,
    { skip },
    async () => {
      await useNative();
      const weights = random('loss', [6, 5]);
      assertGradients(
        [random('x', [6, 9]), random('weight', [9, 5]), random('bias', [5])],
        (x, weight, bias) =>
          tf.sum(
            tf.mul(
              tf.square(
                fullyConnect(
                  x as tf.Tensor2D,
                  weight as tf.Tensor2D,
                  bias as tf.Tensor1D,
                  activation,
                ),
              ),
              weights,
            ),
          ),
      );
      assertRan('matMul');
    },
  );
}

test('the gradient of LRN matches finite differences', { skip }, async () => {
  await useNative();
  const weights = random('loss', [2, 3, 3, 8]);
  const recipe = { size: 5, k: 2, alpha: 0.5, beta: 0.75 };
  assertGradients([random('x', [2, 3, 3, 8])], (x) =>
    tf.sum(tf.mul(tf.square(localResponseNormalization(x as tf.Tensor4D, recipe)), weights)),
  );
  assertRan('localResponseNormalizationGradient');
});

/** A layer with ReLU, normalized; `read` is what follows. */
function assertNormalizedGradients(read: (normalized: tf.Tensor4D) => tf.Tensor): void {
  const recipe = { size: 3, k: 2, alpha: 0.5, beta: 0.75 };
  assertGradients(
    [random('x', [2, 5, 5, 2]), random('filter', [1, 1, 2, 6]), random('bias', [6])],
    (x, filter, bias) => {
      const layer = convolve(
        x as tf.Tensor4D,
        filter as tf.Tensor4D,
        bias as tf.Tensor1D,
        1,
        'valid',
        'relu',
      );
      return tf.sum(tf.square(read(localResponseNormalization(layer, recipe))));
    },
  );
}

test(
  'one kernel computes the gradient of max pooling, normalization and ReLU, which matches finite differences',
  { skip },
  async () => {
    await useNative();
    assertNormalizedGradients((normalized) => tf.maxPool(normalized, 3, 2, 'valid'));
    assertRan('maxPoolOfNormalizedGradient');
  },
);

test(
  'where a normalization is read twice, both gradients pass back through it',
  { skip },
  async () => {
    await useNative();
    assertNormalizedGradients((normalized) =>
      tf.add(
        tf.maxPool(normalized, 3, 2, 'valid'),
        tf.slice(normalized, [0, 0, 0, 0], [2, 2, 2, 6]),
      ),
    );
    assertRan('localResponseNormalizationGradient');
  },
);

test('the gradient of the cross-entropy matches finite differences', { skip }, async () => {
  await useNative();
  const labels = tf.tensor1d([1, 0, 4], 'int32');
  assertGradients([tf.mul(random('logits', [3, 5]), 3)], (logits) =>
    crossEntropy(logits as tf.Tensor2D, labels),
  );
  assertRan('softmaxCrossEntropy');
});

test('images from bytes are those of every other backend, to the bit', { skip }, async () => {
  const mean = [0.5, 0.45, 0.4];
  const std = [0.25, 0.2, 0.3];
  const shape: [number, number, number, number] = [2, 3, 5, 3];
  const bytes = Uint8Array.from(new Draw('bytes').values(90), (value) => 128 + 127 * value);
  const images = (): Float32Array =>
    tf.tidy(() =>
      imagesFromBytes(bytes, normalizationTable(mean, std), shape).dataSync<'float32'>().slice(),
    );
  await tf.setBackend('cpu');
  const expected = images();
  await useNative();
  assert.deepEqual(images(), expected);
  assertRan('imagesFromBytes');
  expected.forEach((value, index) => {
    const channel = index % 3;
    assert.equal(value, Math.fround((bytes[index]! / 255 - mean[channel]!) / std[channel]!));
  });
});
