/** The memory that a step takes on a GPU against what `plan` estimates, and what is done when a GPU is full. */
import './use_double.js';
import * as tf from '@tensorflow/tfjs-core';
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import { NATIVE_CUDA, registerCuda } from '../../../src/backend/native/native.js';
import { loadConfiguration } from '../../../src/configuration.js';
import { isOutOfMemory } from '../../../src/errors.js';
import { planOf } from '../../../src/library/plan.js';
import { planGpus } from '../../../src/library/plan_gpus.js';
import { stepMemory } from '../../../src/model/memory.js';
import { Coordinator } from '../../../src/parallel/coordinator.js';
import { noiseBatch } from '../../../src/training/comparison.js';
import { requireFinite } from '../../../src/parallel/step_outcome.js';
import { gpuPlacement, RULE } from '../../parallel/two_placements.js';

const skip = cudaIsPrepared() ? false : "the GPUs' addon is not built here";

for (const { preset, towers } of [
  { preset: 'cifar10-quick', towers: 2 },
  { preset: 'cifar10-13pct-lrn', towers: 1 },
]) {
  test(`a step of ${preset} takes what is planned, within a quarter`, { skip }, async () => {
    const batch = 8;
    const overrides = { towers, training: { batch } };
    const configuration = loadConfiguration({ preset, overrides });
    const ranks = [...Array(towers).keys()];
    const coordinator = await Coordinator.open({
      configuration,
      towers,
      placement: gpuPlacement([ranks], [0]),
      backend: 'native',
      batch,
    });
    try {
      const noise = await noiseBatch(configuration);
      const outcome = await coordinator.step(1, noise, RULE, true);
      const [peakBytes] = requireFinite(outcome).peakBytes;
      const { parameterBytes, bytesPerImage } = stepMemory(coordinator.network, ranks);
      const ratio = (parameterBytes + batch * bytesPerImage) / peakBytes!;
      assert.ok(ratio > 0.75 && ratio < 1.25, `planned: ${ratio.toFixed(2)} of ${peakBytes}`);
    } finally {
      await coordinator.close();
    }
  });
}

test('a plan says how many images each GPU holds', { skip }, async () => {
  const gpus = await planGpus(planOf(loadConfiguration({ preset: 'alexnet-paper' })));
  // 4 GiB, less a tenth and 366 MB of parameters, by 5.23 MB per image.
  assert.deepEqual(
    gpus.map(({ ordinal, name, images }) => [ordinal, name, images]),
    [
      [0, 'Test GPU', 668],
      [1, 'Test GPU', 668],
    ],
  );
});

before(async () => {
  if (skip !== false) return;
  // A thousandth of 4 GiB.
  registerCuda(0, 'float32', 0.001);
  await tf.setBackend(NATIVE_CUDA);
});

/** A tensor of so many mebibytes in the GPU's memory. */
function tensorOf(mebibytes: number): tf.Tensor {
  return tf.fill([mebibytes * 2 ** 18], 1);
}

test('memory that waits for later tensors makes room for others', { skip }, () => {
  tensorOf(3).dispose();
  const other = tensorOf(4);
  assert.equal(other.dataSync().at(-1), 1);
  other.dispose();
});

test('a tensor that does not fit beside the others is refused', { skip }, () => {
  const held = tensorOf(3);
  assert.throws(
    () => tensorOf(2),
    (error) => isOutOfMemory(error) && /holds 3 MiB of the 4 MiB that it may/.test(error.message),
  );
  held.dispose();
});
