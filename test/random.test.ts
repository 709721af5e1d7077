import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  RandomSequence,
  deriveKey,
  fillDropoutMask,
  fillNormal,
  fillUniform,
  permutation,
  threefry,
} from '../src/random.js';

const key = deriveKey(41, 'test');

/** Known answers of threefry2x32 with 20 rounds: Random123 1.14, tests/kat_vectors. */
const KNOWN = [
  { counter: [0, 0], key: [0, 0], answer: [0x6b200159, 0x99ba4efe] },
  {
    counter: [0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    answer: [0x1cb996fc, 0xbb002be7],
  },
  {
    counter: [0x243f6a88, 0x85a308d3],
    key: [0x13198a2e, 0x03707344],
    answer: [0xc4923a9c, 0x483df7a0],
  },
] as const;

for (const { counter, key: knownKey, answer } of KNOWN) {
  test(`threefry gives the published answer at counter ${counter[0].toString(16)}`, () => {
    const out = new Uint32Array(2);
    threefry(knownKey, counter[0], counter[1], out);
    assert.deepEqual([...out], answer);
  });
}

test('keys differ by every label, its kind and its order', () => {
  const keys = [
    deriveKey(1, 'a', 2),
    deriveKey(1, 'a', 3),
    deriveKey(1, 'b', 2),
    deriveKey(2, 'a', 2),
    deriveKey(1, 2, 'a'),
    deriveKey(1, 'a'),
    deriveKey(1 + 2 ** 32, 'a', 2),
  ].map(String);
  assert.equal(new Set(keys).size, keys.length);
});

for (const [name, fill] of [
  ['uniform', (start: number, out: Float32Array) => fillUniform(key, start, -2, 3, out)],
  ['normal', (start: number, out: Float32Array) => fillNormal(key, start, 1.5, out)],
] as const) {
  test(`a run of ${name} numbers does not depend on where it was cut`, () => {
    const whole = new Float32Array(101);
    fill(0, whole);
    for (const [start, end] of [
      [0, 33],
      [33, 64],
      [64, 101],
    ] as const) {
      const part = new Float32Array(end - start);
      fill(start, part);
      assert.deepEqual(part, whole.slice(start, end));
    }
  });
}

/** Means of n draws lie within five standard errors but for one run in a million. */
const DRAWS = 200_000;

test('uniform numbers have the mean and variance of their interval, and stay in it', () => {
  const out = new Float32Array(DRAWS);
  fillUniform(key, 0, -2, 3, out);
  const { mean, variance } = moments(out);
  assert.ok(Math.abs(mean - 0.5) < (5 * Math.sqrt(25 / 12)) / Math.sqrt(DRAWS), `mean ${mean}`);
  assert.ok(Math.abs(variance - 25 / 12) < 0.02, `variance ${variance}`);
  assert.ok(out.every((value) => value >= -2 && value <= 3));
});

test('normal numbers have mean 0, their variance and a normal’s fourth moment', () => {
  const out = new Float32Array(DRAWS);
  fillNormal(key, 0, 1.5, out);
  const { mean, variance, kurtosis } = moments(out);
  assert.ok(Math.abs(mean) < (5 * 1.5) / Math.sqrt(DRAWS), `mean ${mean}`);
  assert.ok(Math.abs(variance / 2.25 - 1) < 5 * Math.sqrt(2 / DRAWS), `variance ${variance}`);
  assert.ok(Math.abs(kurtosis - 3) < 5 * Math.sqrt(24 / DRAWS), `kurtosis ${kurtosis}`);
});

test('a dropout mask drops the share it is asked to and keeps the mean', () => {
  const mask = new Float32Array(DRAWS + 3);
  fillDropoutMask(key, 0.3, mask);
  const dropped = mask.filter((value) => value === 0).length / mask.length;
  assert.ok(Math.abs(dropped - 0.3) < 5 * Math.sqrt(0.21 / DRAWS), `dropped ${dropped}`);
  assert.ok(mask.every((value) => value === 0 || value === Math.fround(1 / 0.7)));
});

test('a permutation holds every number once and differs by key', () => {
  const one = permutation(deriveKey(1, 'order'), 1000);
  const other = permutation(deriveKey(2, 'order'), 1000);
  assert.deepEqual(
    [...one].sort((a, b) => a - b),
    Array.from({ length: 1000 }, (_, index) => index),
  );
  assert.notDeepEqual(one, other);
});

test('numbers below a limit are all reached, about equally often', () => {
  const random = new RandomSequence(key);
  const counts = new Array<number>(7).fill(0);
  for (let draw = 0; draw < 70_000; draw++) counts[random.below(7)]!++;
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, String(counts));
});

function moments(values: Float32Array): { mean: number; variance: number; kurtosis: number } {
  const average = (of: (value: number) => number): number =>
    values.reduce((sum, value) => sum + of(value), 0) / values.length;
  const mean = average((value) => value);
  const variance = average((value) => (value - mean) ** 2);
  return { mean, variance, kurtosis: average((value) => (value - mean) ** 4) / variance ** 2 };
}
