import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quantile, spreadOf } from '../../src/report/quantiles.js';

test('quantiles are interpolated as numpy.quantile does', () => {
  const samples = [9, 1, 4, 16];
  assert.deepEqual(
    [0, 0.1, 0.5, 0.9, 1].map((q) => Number(quantile(samples, q).toFixed(9))),
    [1, 1.9, 6.5, 13.9, 16],
  );
});

test('one sample is every quantile', () => {
  assert.deepEqual(spreadOf([3]), { median: 3, p10: 3, p90: 3 });
});

test('no sample is an error', () => {
  assert.throws(() => quantile([], 0.5), RangeError);
});
