import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Reduction } from '../../../src/backend/native/addon_arrays.js';
import { randomFloats, relativeError } from './references.js';
import { addon, skip } from './tested_addon.js';

const reductions: [Reduction, number, (accumulated: number, value: number) => number][] = [
  ['sum', 0, (sum, value) => sum + value],
  ['prod', 1, (product, value) => product * value],
  ['max', -Infinity, Math.max],
  ['min', Infinity, Math.min],
];

function reduced(
  x: ArrayLike<number>,
  [outer, count, inner]: readonly [number, number, number],
  start: number,
  combine: (accumulated: number, value: number) => number,
): Float64Array {
  const out = new Float64Array(outer * inner).fill(start);
  for (let index = 0; index < x.length; index++) {
    const at = Math.floor(index / (count * inner)) * inner + (index % inner);
    out[at] = combine(out[at]!, x[index]!);
  }
  return out;
}

for (const sizes of [
  [1, 1, 1],
  [3, 7, 5],
  [13, 100, 1],
  [1, 100_003, 1],
  [1, 5001, 96],
  [2, 3, 2500],
] as const) {
  const length = sizes[0] * sizes[1] * sizes[2];
  // Near 1, so that products stay within bounds.
  const x = randomFloats('x', length).map((value) => 1 + value / Math.sqrt(sizes[1]));
  const outLength = sizes[0] * sizes[2];

  for (const [operation, start, combine] of reductions) {
    test(`${operation} of [${sizes.join(', ')}]`, { skip }, () => {
      const out = new Float32Array(outLength).fill(NaN);
      addon.reduce(operation, x, out, sizes);
      assert.ok(relativeError(out, reduced(x, sizes, start, combine)) < 1e-5);
    });
  }

  test(`mean of [${sizes.join(', ')}], the same for any number of threads`, { skip }, () => {
    const out = new Float32Array(outLength).fill(NaN);
    const again = new Float32Array(outLength).fill(NaN);
    addon.setThreads(2);
    addon.reduce('mean', x, out, sizes);
    addon.setThreads(1);
    addon.reduce('mean', x, again, sizes);
    const sums = reduced(x, sizes, 0, (sum, value) => sum + value);
    assert.deepEqual(out, again);
    assert.ok(
      relativeError(
        out,
        sums.map((sum) => sum / sizes[1]),
      ) < 1e-6,
    );
  });

  test(`argMax of [${sizes.join(', ')}] is the first`, { skip }, () => {
    const [outer, count, inner] = sizes;
    const coarse = x.map((value) => Math.round(value * 4));
    const out = new Int32Array(outLength).fill(-1);
    addon.argMax(coarse, out, sizes);
    const expected = new Int32Array(outLength);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const column = Array.from(
          { length: count },
          (_, k) => coarse[(o * count + k) * inner + i]!,
        );
        expected[o * inner + i] = column.indexOf(
          column.reduce((greatest, value) => Math.max(greatest, value)),
        );
      }
    }
    assert.deepEqual(out, expected);
  });
}

test('sums and extremes of int32', { skip }, () => {
  const out = new Int32Array(2);
  const x = Int32Array.of(3, -5, 7, 1, 2, 9);
  addon.reduce('sum', x, out, [2, 3, 1]);
  assert.deepEqual([...out], [5, 12]);
  addon.reduce('max', x, out, [2, 3, 1]);
  assert.deepEqual([...out], [7, 9]);
});

test('of no elements, the sum is 0, the product 1, the greatest −∞', { skip }, () => {
  const out = new Float32Array(2);
  for (const [operation, start] of reductions) {
    addon.reduce(operation, new Float32Array(), out, [2, 0, 1]);
    assert.deepEqual([...out], [start, start]);
  }
});

test('NaN is greatest and least', { skip }, () => {
  const out = new Float32Array(1);
  for (const operation of ['max', 'min'] as const) {
    addon.reduce(operation, Float32Array.of(1, NaN, 2), out, [1, 3, 1]);
    assert.ok(Number.isNaN(out[0]));
  }
});

function logSumExp(row: Float32Array): number {
  const greatest = row.reduce((a, b) => Math.max(a, b));
  return greatest + Math.log(row.reduce((sum, value) => sum + Math.exp(value - greatest), 0));
}

for (const columns of [1, 10, 1000]) {
  const x = randomFloats('logits', 7 * columns).map((value) => 30 * value);
  const rows = Array.from({ length: 7 }, (_, row) =>
    x.subarray(row * columns, (row + 1) * columns),
  );

  test(`softmax and its logarithm of ${columns} columns`, { skip }, () => {
    const expected = rows.flatMap((row) => Array.from(row, (value) => value - logSumExp(row)));
    const out = new Float32Array(x.length).fill(NaN);
    addon.softmax(x, out, columns, false);
    assert.ok(relativeError(out, expected.map(Math.exp)) < 1e-5);
    addon.softmax(x, out, columns, true);
    if (columns > 1) assert.ok(relativeError(out, expected) < 1e-5);
    else assert.ok(out.every((value) => value === 0));
  });

  test(`softmax cross-entropy of ${columns} classes and its gradient`, { skip }, () => {
    const labels = Int32Array.from(rows, (_, row) => (row * 7) % columns);
    const gradient = new Float32Array(x.length).fill(NaN);
    const loss = new Float32Array(1);
    addon.softmaxCrossEntropy(x, labels, loss, gradient, columns);
    const losses = rows.map((row, index) => logSumExp(row) - row[labels[index]!]!);
    const mean = losses.reduce((sum, value) => sum + value) / 7;
    assert.ok(Math.abs(loss[0]! - mean) <= 1e-5 * Math.abs(mean));
    const expected = rows.flatMap((row, index) =>
      Array.from(
        row,
        (value, c) => (Math.exp(value - logSumExp(row)) - (c === labels[index] ? 1 : 0)) / 7,
      ),
    );
    expected.forEach((value, index) => {
      assert.ok(Math.abs(gradient[index]! - value) < 1e-6);
    });
  });
}
