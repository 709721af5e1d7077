import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import {
  prepareProcess,
  prepareWorkers,
  requirePrecision,
  useBackend,
  whyMissing,
  type BackendName,
} from '../../src/backend/backend.js';
import { convolve } from '../../src/backend/fused.js';
import { localResponseNormalization } from '../../src/backend/lrn.js';
import { restoreIsNullOrUndefined } from '../../src/backend/tensorflow.js';
import { randomTensor, relativeDifference } from './random_tensor.js';

interface Variables {
  conv1: tf.Variable<tf.Rank.R4>;
  bias1: tf.Variable<tf.Rank.R1>;
  conv2: tf.Variable<tf.Rank.R4>;
  fc: tf.Variable<tf.Rank.R2>;
}

/** Loss of a small network with each kind of layer. */
function lossOf({ conv1, bias1, conv2, fc }: Variables): tf.Scalar {
  const x = randomTensor<tf.Rank.R4>('x', [4, 19, 19, 3]);
  const labels = tf.oneHot(tf.tensor1d([0, 3, 1, 3], 'int32'), 5);
  const first = convolve(x, conv1, bias1, 2, 'same', 'relu');
  const recipe = { size: 5, k: 2, alpha: 0.1, beta: 0.75 };
  const normalized = localResponseNormalization(first, recipe);
  const second = tf.relu(tf.conv2d(normalized, conv2, 1, 'same'));
  const pooled = tf.maxPool(second, 3, 2, 'valid');
  const logits = tf.matMul<tf.Tensor2D>(tf.reshape(pooled, [4, -1]), fc);
  return tf.losses.softmaxCrossEntropy<tf.Tensor, tf.Scalar>(labels, logits);
}

/** Loss and every gradient of one step. */
async function trainingStep(backend: BackendName): Promise<Record<string, ArrayLike<number>>> {
  prepareProcess();
  await useBackend({ backend, device: 'cpu', threads: 2 });
  const variables = {
    conv1: tf.variable(randomTensor<tf.Rank.R4>('conv1', [5, 5, 3, 8], 0.2)),
    bias1: tf.variable(randomTensor<tf.Rank.R1>('bias1', [8], 0.2)),
    conv2: tf.variable(randomTensor<tf.Rank.R4>('conv2', [3, 3, 8, 12], 0.2)),
    fc: tf.variable(randomTensor<tf.Rank.R2>('fc', [4 * 4 * 12, 5], 0.2)),
  };
  const { value, grads } = tf.variableGrads(() => lossOf(variables));
  const results: Record<string, ArrayLike<number>> = { loss: value.dataSync() };
  for (const [name, variable] of Object.entries(variables)) {
    results[name] = grads[variable.name]!.dataSync();
    variable.dispose();
  }
  return results;
}

for (const backend of ['native', 'wasm'] as const) {
  const missing = [backend, 'tensorflow' as const].find((name) => whyMissing(name) !== null);
  const skip = missing === undefined ? false : `${missing} is not prepared here`;
  test(
    `a training step on tensorflow and on ${backend} agree, loss and all gradients`,
    { skip },
    async () => {
      const expected = await trainingStep('tensorflow');
      const actual = await trainingStep(backend);
      assert.deepEqual(Object.keys(actual), ['loss', 'conv1', 'bias1', 'conv2', 'fc']);
      for (const [name, values] of Object.entries(expected)) {
        const difference = relativeDifference(actual[name]!, values);
        // The longest sums have 4·10·10 terms, of roundings 6e-8 that mostly cancel, through four layers.
        assert.ok(difference < 1e-5, `${name}: relative difference ${difference}`);
      }
    },
  );
}

test('on TensorFlow, float32 products are not rounded to TF32, unless the user asks for it', (t) => {
  delete process.env['NVIDIA_TF32_OVERRIDE'];
  // The native backend rounds them only where it is asked to, and must be able to.
  prepareWorkers('native');
  assert.equal(process.env['NVIDIA_TF32_OVERRIDE'], undefined);
  if (whyMissing('tensorflow') !== null) return t.skip('TensorFlow is not set up here');
  prepareWorkers('tensorflow');
  assert.equal(process.env['NVIDIA_TF32_OVERRIDE'], '0');
  process.env['NVIDIA_TF32_OVERRIDE'] = '1';
  prepareWorkers('tensorflow');
  assert.equal(process.env['NVIDIA_TF32_OVERRIDE'], '1');
});

test('isNullOrUndefined is put back where Node has dropped it', () => {
  const util: { isNullOrUndefined?: (value: unknown) => boolean } = {};
  restoreIsNullOrUndefined(util);
  assert.deepEqual(
    [null, undefined, 0, ''].map((value) => util.isNullOrUndefined?.(value)),
    [true, true, false, false],
  );
});

test('a backend without bf16 names the option with which a run of bf16 continues on it', () => {
  assert.throws(() => requirePrecision('bf16', 'wasm'), {
    name: 'UserError',
    message: 'bf16 needs the native backend, but the backend is wasm: give --precision float32',
  });
});
