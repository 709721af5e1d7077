import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { histogramOf, updateRatios } from '../../src/report/histogram.js';

suite('a histogram', () => {
  const values = Float32Array.from({ length: 2000 }, () => (Math.random() - 0.5) ** 3);

  test('counts the values up to each limit', () => {
    const { limits, counts, min, max, count } = histogramOf(values);
    assert.equal(limits.length, counts.length);
    assert.equal(limits.at(-1), max);
    assert.equal(count, values.length);
    let upTo = 0;
    for (const [bucket, limit] of limits.entries()) {
      upTo += counts[bucket]!;
      // A value within a rounding of the limit may stand on either side of it.
      const slack = (max - min) * 1e-9;
      const below = values.filter((value) => value < limit - slack).length;
      const notAbove = values.filter((value) => value <= limit + slack).length;
      assert.ok(below <= upTo && upTo <= notAbove, `${below} ${upTo} ${notAbove}`);
    }
    assert.equal(upTo, values.length);
  });

  test('has the extremes and moments of the values', () => {
    const { min, max, sum, sumOfSquares } = histogramOf(values);
    assert.equal(min, Math.min(...values));
    assert.equal(max, Math.max(...values));
    const total = (of: (value: number) => number): number =>
      [...values].reduce((partial, value) => partial + of(value), 0);
    assert.equal(
      sum,
      total((value) => value),
    );
    assert.equal(
      sumOfSquares,
      total((value) => value * value),
    );
  });

  test('of equal values has one bucket', () => {
    const { limits, counts } = histogramOf(new Float32Array(5).fill(-2));
    assert.deepEqual([limits, counts], [[-2], [5]]);
  });
});

test('the ratio of a kernel is the length of its update over its own; kernels of zeros are left out', () => {
  const updates = Float32Array.of(3, 4, 1, 1, 0, 2);
  const weights = Float32Array.of(6, 8, 0, 0, 0, 8);
  assert.deepEqual([...updateRatios(updates, weights, 3)], [0.5, 0.25]);
});
