import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomFloats, relativeError } from './references.js';
import { addon, skip } from './tested_addon.js';

/** s of each element: bias + α times the sum of squares in the window, which ends with the row. */
function scales(
  x: Float32Array,
  channels: number,
  radius: number,
  bias: number,
  alpha: number,
): Float64Array {
  return Float64Array.from(x, (_, index) => {
    const row = index - (index % channels);
    const first = Math.max(row, index - radius);
    const last = Math.min(row + channels - 1, index + radius);
    let sum = 0;
    for (let other = first; other <= last; other++) sum += x[other]! ** 2;
    return bias + alpha * sum;
  });
}

for (const [rows, channels, radius, beta] of [
  [7, 96, 2, 0.75],
  [5, 3, 2, 0.75],
  [3, 37, 1, 0.75],
  [4, 19, 4, 0.5],
  [2, 5, 9, 1.5],
  [6, 1, 0, 0.75],
] as const) {
  const bias = 2;
  const alpha = 0.3;
  const x = randomFloats('x', rows * channels);
  const dy = randomFloats('dy', x.length);
  const s = scales(x, channels, radius, bias, alpha);
  const name = `[${rows}, ${channels}], radius ${radius}, beta ${beta}`;

  test(`normalization of ${name}`, { skip }, () => {
    const out = new Float32Array(x.length).fill(NaN);
    addon.localResponseNormalization(x, out, channels, radius, bias, alpha, beta);
    const expected = Float64Array.from(x, (value, index) => value * s[index]! ** -beta);
    assert.ok(relativeError(out, expected) < 1e-5);
  });

  test(`gradient of the normalization of ${name}`, { skip }, () => {
    const dx = new Float32Array(x.length).fill(NaN);
    addon.localResponseNormalizationGradient(dy, x, dx, channels, radius, bias, alpha, beta);
    // Each output's derivative by each input of its window, written out.
    const expected = new Float64Array(x.length);
    x.forEach((value, out) => {
      const row = out - (out % channels);
      expected[out]! += dy[out]! * s[out]! ** -beta;
      const last = Math.min(row + channels - 1, out + radius);
      for (let input = Math.max(row, out - radius); input <= last; input++) {
        expected[input]! -=
          dy[out]! * value * beta * s[out]! ** (-beta - 1) * 2 * alpha * x[input]!;
      }
    });
    assert.ok(relativeError(dx, expected) < 1e-5);
  });
}
