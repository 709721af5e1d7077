import assert from 'node:assert/strict';
import { Session } from 'node:inspector/promises';
import { test } from 'node:test';
import { product, randomFloats, relativeError } from './references.js';
import { addon, skip } from './tested_addon.js';

const SIZES = [
  [1, 1, 1, 1, 1],
  [1, 1, 7, 5, 3],
  [1, 1, 33, 130, 65],
  [3, 3, 4, 9, 11],
  [3, 1, 4, 9, 11],
  [1, 4, 6, 2, 5],
  [1, 1, 1, 300, 17],
  [1, 1, 64, 3, 1],
] as const;

for (const sizes of SIZES) {
  const [aBatch, bBatch, m, k, n] = sizes;
  const a = randomFloats('a', aBatch * m * k);
  const b = randomFloats('b', bBatch * k * n);
  const bias = randomFloats('bias', n);
  const length = Math.max(aBatch, bBatch) * m * n;
  for (const [transposeA, transposeB] of [
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ] as const) {
    const expected = product(a, b, sizes, transposeA, transposeB);
    const name = `[${sizes.join(', ')}]${transposeA ? ', a transposed' : ''}${transposeB ? ', b transposed' : ''}`;

    test(`product ${name}`, { skip }, () => {
      const out = new Float32Array(length).fill(NaN);
      addon.matMul(a, b, null, out, sizes, transposeA, transposeB, 'linear', 'float32');
      assert.ok(relativeError(out, expected) < 1e-5);
    });

    test(`product, bias and ReLU ${name}`, { skip }, () => {
      const out = new Float32Array(length).fill(NaN);
      addon.matMul(a, b, bias, out, sizes, transposeA, transposeB, 'relu', 'float32');
      const activated = expected.map((value, index) => Math.max(0, value + bias[index % n]!));
      // A single element may be 0.
      if (activated.some((value) => value > 0)) assert.ok(relativeError(out, activated) < 1e-5);
      else assert.ok(out.every((value) => value === 0));
    });

    test(`product in bfloat16 ${name}`, { skip }, () => {
      if (!addon.information().bf16) return;
      const out = new Float32Array(length).fill(NaN);
      addon.matMul(a, b, null, out, sizes, transposeA, transposeB, 'linear', 'bf16');
      assert.ok(relativeError(out, expected) < 1e-2);
    });
  }
}

test('a product over no elements is the bias', { skip }, () => {
  const bias = randomFloats('bias', 3);
  const empty = new Float32Array();
  const out = new Float32Array(6).fill(NaN);
  addon.matMul(empty, empty, bias, out, [1, 1, 2, 0, 3], false, false, 'linear', 'float32');
  assert.deepEqual([...out], [...bias, ...bias]);
});

test('signals during a product, such as a profiler’s, leave it right', { skip }, async () => {
  const a = randomFloats('a', 64 * 576);
  const b = randomFloats('b', 576 * 128);
  const bias = randomFloats('bias', 128);
  const out = new Float32Array(64 * 128);
  const multiply = (): Buffer => {
    addon.matMul(a, b, bias, out, [1, 1, 64, 576, 128], false, false, 'linear', 'float32');
    return Buffer.from(out.buffer);
  };
  const undisturbed = Buffer.from(multiply());
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: 100 });
  await session.post('Profiler.start');
  for (let round = 0; round < 3000; round++) assert.ok(multiply().equals(undisturbed));
  session.disconnect();
});
