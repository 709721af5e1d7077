/** Towers on GPUs: placements against each other and against the CPU. */
import '../cuda/use_double.js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import { nativeIsPrepared } from '../../../src/backend/native/addon.js';
import { compareWithFiniteDifferences } from '../../../src/training/gradient_check.js';
import type { Placement } from '../../../src/parallel/placement.js';
import {
  SEED,
  cpuPlacement,
  gpuPlacement,
  noiseBatchOf,
  steps,
  withCoordinatorOn,
} from '../../parallel/two_placements.js';

const skip = cudaIsPrepared() && nativeIsPrepared() ? false : 'the addons are not built here';

async function lossesOn(placement: Placement): Promise<number[]> {
  const workers = placement.map(({ ranks }) => ranks);
  const results = await withCoordinatorOn(
    'native',
    workers,
    (coordinator) => steps(coordinator, 20),
    placement,
  );
  return results.map(({ loss }) => loss);
}

/** Float32 sums in another order differ by about √n·6e-8; 20 steps of training carry that on. */
function assertSameLosses(actual: number[], expected: number[], tolerance: number): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((loss, step) => {
    const difference = Math.abs(loss - expected[step]!) / Math.abs(expected[step]!);
    assert.ok(difference <= tolerance, `step ${step + 1}: ${loss} and ${expected[step]}`);
  });
}

const grouped = skip === false ? await lossesOn(gpuPlacement([[0, 1]], [0])) : [];

test('two towers on one worker lose as on the CPU, 20 steps', { skip }, async () => {
  // Kernels of two devices round differently.
  assertSameLosses(grouped, await lossesOn(cpuPlacement([[0, 1]])), 1e-4);
});

for (const gpus of [
  [0, 1],
  [0, 0],
  [1, 0],
]) {
  test(
    `two towers split over gpus ${gpus.join(',')} lose as grouped, 20 steps`,
    { skip },
    async () => {
      assertSameLosses(await lossesOn(gpuPlacement([[0], [1]], gpus)), grouped, 1e-5);
    },
  );
}

test('four towers on two gpus lose as on one, 20 steps', { skip }, async () => {
  const split = await lossesOn(gpuPlacement([[0], [1], [2], [3]], [0, 1, 0, 1]));
  assertSameLosses(split, await lossesOn(gpuPlacement([[0, 1, 2, 3]], [0])), 1e-5);
});

test('gradients on two gpus are those of finite differences', { skip }, async () => {
  const placement = gpuPlacement([[0], [1]], [0, 1]);
  const checks = await withCoordinatorOn(
    'native',
    [[0], [1]],
    (coordinator) => compareWithFiniteDifferences(coordinator, noiseBatchOf(SEED, 0)),
    placement,
  );
  for (const { parameter, relativeError } of checks) {
    assert.ok(relativeError < 0.01, `${parameter}: ${relativeError}`);
  }
});
