import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import sharp from 'sharp';
import {
  colourSelectivities,
  colourSelectivity,
  kernelGrid,
} from '../../src/report/kernel_grid.js';
import { drawKernels } from '../../src/report/kernels.js';
import { deriveKey, fillNormal } from '../../src/random.js';

/** Kernels of 1×1: their red, green and blue weights. */
function pointKernels(...kernels: [number, number, number][]) {
  return { shape: [kernels.length, 3, 1, 1], data: Float32Array.from(kernels.flat()) };
}

describe('colour selectivity', () => {
  test('is 0 for kernels that see brightness alone', () => {
    const [index] = colourSelectivity(pointKernels([2, 2, 2], [-1, -1, -1]), 1);
    // Squares of float32 integers are exact; (3w)²/3 is 3w².
    assert.equal(index, 0);
  });

  test('is 1 for kernels that a grey image leaves silent', () => {
    assert.deepEqual(colourSelectivity(pointKernels([1, -1, 0], [1, 1, -2]), 1), [1]);
  });

  test('is 2/3 for random weights', () => {
    const data = new Float32Array(64 * 3 * 121);
    fillNormal(deriveKey(5, 'kernels'), 0, 1, data);
    const [index] = colourSelectivity({ shape: [64, 3, 11, 11], data }, 1);
    // A kernel's share has a standard deviation of about 0.04 (363 weights), the mean of 64 one of 0.005.
    assert.ok(Math.abs(index! - 2 / 3) < 0.02, String(index));
  });

  test('is given for each kernel', () => {
    // (1 + 1)² / 3 of a whole of 2 is grey.
    const [grey, opponent, yellow, silent] = colourSelectivities(
      pointKernels([3, 3, 3], [0, 2, -2], [1, 1, 0], [0, 0, 0]),
    );
    assert.deepEqual([grey, opponent, silent], [0, 1, 0]);
    assert.ok(Math.abs(yellow! - 1 / 3) < 1e-15, String(yellow));
  });

  test('does not depend on the scale of a kernel', () => {
    const [one, thousand] = colourSelectivities(pointKernels([4, 1, 2], [4096, 1024, 2048]));
    assert.equal(one, thousand);
  });

  test('is given for each tower from its own run of kernels', () => {
    const weights = pointKernels([1, 1, 1], [3, 3, 3], [1, -1, 0], [0, 2, -2]);
    assert.deepEqual(colourSelectivity(weights, 2), [0, 1]);
  });

  test('counts a kernel of zeros as 0', () => {
    assert.deepEqual(colourSelectivity(pointKernels([0, 0, 0], [1, -1, 0]), 1), [0.5]);
  });
});

describe('a tower’s grid of kernels', () => {
  test('shows a kernel’s largest weight at full and zero at mid-grey', () => {
    const { pixels, width } = kernelGrid(pointKernels([4, 0, -4], [1, 1, 1]), 2, 0);
    const inside = (width * 10 + 10) * 3;
    assert.deepEqual([...pixels.subarray(inside, inside + 3)], [255, 128, 0]);
  });

  test('holds the kernels of that tower', () => {
    const { pixels, width } = kernelGrid(pointKernels([4, 0, -4], [-1, -1, -1]), 2, 1);
    const inside = (width * 10 + 10) * 3;
    assert.deepEqual([...pixels.subarray(inside, inside + 3)], [0, 0, 0]);
  });
});

test('the picture of all towers is a PNG as wide as its widest grid', async () => {
  const data = new Float32Array(96 * 3 * 121);
  fillNormal(deriveKey(5, 'kernels'), 0, 1, data);
  const png = await drawKernels('conv1', { shape: [96, 3, 11, 11], data }, 2);
  const { format, width } = await sharp(png).metadata();
  // 16 kernels of 11 pixels at 4 times, a gap of 2 between and around, a margin of 16 on each side.
  assert.deepEqual({ format, width }, { format: 'png', width: 16 * 46 + 2 + 32 });
});
