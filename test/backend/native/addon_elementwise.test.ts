import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BinaryOperation, UnaryOperation } from '../../../src/backend/native/addon_arrays.js';
import { deriveKey, fillDropoutMask } from '../../../src/random.js';
import { productOf, randomFloats, relativeError } from './references.js';
import { addon, skip } from './tested_addon.js';

const bit = (truth: boolean): number => (truth ? 1 : 0);

const arithmetic: [BinaryOperation, (a: number, b: number) => number][] = [
  ['add', (a, b) => a + b],
  ['sub', (a, b) => a - b],
  ['mul', (a, b) => a * b],
  ['div', (a, b) => a / b],
  ['maximum', Math.max],
  ['minimum', Math.min],
  ['squaredDifference', (a, b) => (a - b) ** 2],
];
const comparisons: [BinaryOperation, (a: number, b: number) => number][] = [
  ['equal', (a, b) => bit(a === b)],
  ['notEqual', (a, b) => bit(a !== b)],
  ['greater', (a, b) => bit(a > b)],
  ['greaterEqual', (a, b) => bit(a >= b)],
  ['less', (a, b) => bit(a < b)],
  ['lessEqual', (a, b) => bit(a <= b)],
];

/** The element of an operand that broadcasting puts at `index` of the result. */
function sourceOf(index: number, outShape: readonly number[], shape: readonly number[]): number {
  let source = 0;
  let stride = 1;
  for (let back = 1; back <= outShape.length; back++) {
    const size = outShape[outShape.length - back]!;
    const own = shape[shape.length - back] ?? 1;
    if (own !== 1) source += (index % size) * stride;
    stride *= own;
    index = Math.floor(index / size);
  }
  return source;
}

for (const [aShape, bShape, outShape] of [
  [
    [5, 7],
    [5, 7],
    [5, 7],
  ],
  [[2, 3, 5], [5], [2, 3, 5]],
  [[1], [4, 3], [4, 3]],
  [
    [3, 1, 5],
    [2, 1],
    [3, 2, 5],
  ],
  [
    [2, 1, 3, 1],
    [1, 4, 1, 5],
    [2, 4, 3, 5],
  ],
  [[], [], []],
  [[0, 3], [3], [0, 3]],
  [
    [300, 200],
    [300, 1],
    [300, 200],
  ],
] as const) {
  // Few different values, so that some are equal; adding 0 leaves no −0.
  const coarse = (value: number): number => Math.round(value * 4) / 2 + 0;
  const a = randomFloats('a', productOf(aShape)).map(coarse);
  const b = randomFloats('b', productOf(bShape)).map(coarse);
  const length = productOf(outShape);
  const expectedOf = (f: (a: number, b: number) => number): number[] =>
    Array.from({ length }, (_, index) =>
      f(a[sourceOf(index, outShape, aShape)]!, b[sourceOf(index, outShape, bShape)]!),
    );
  const shapes = `[${aShape.join(', ')}] and [${bShape.join(', ')}]`;

  for (const [operation, f] of arithmetic) {
    test(`${operation} of float32 ${shapes}`, { skip }, () => {
      const out = new Float32Array(length).fill(7);
      addon.binary(operation, a, aShape, b, bShape, out, outShape);
      assert.deepEqual(out, Float32Array.from(expectedOf(f)));
    });
  }

  for (const [operation, f] of comparisons) {
    test(`${operation} of float32 ${shapes}`, { skip }, () => {
      const out = new Uint8Array(length).fill(7);
      addon.binary(operation, a, aShape, b, bShape, out, outShape);
      assert.deepEqual([...out], expectedOf(f));
    });
  }

  test(`int32 ${shapes} wraps around`, { skip }, () => {
    const big = Int32Array.from(a, (value) => value * 2 ** 29);
    const other = Int32Array.from(b, (value) => value * 2 + 3);
    const out = new Int32Array(length).fill(7);
    addon.binary('mul', big, aShape, other, bShape, out, outShape);
    const expected = Int32Array.from(out, (_, index) =>
      Math.imul(big[sourceOf(index, outShape, aShape)]!, other[sourceOf(index, outShape, bShape)]!),
    );
    assert.deepEqual(out, expected);
  });
}

test('the result may lie where an operand does', { skip }, () => {
  const a = randomFloats('a', 1003);
  const b = randomFloats('b', 1003);
  const expected = a.map((value, index) => value + b[index]!);
  addon.binary('add', a, [1003], b, [1003], b, [1003]);
  assert.deepEqual(b, expected);
});

test('NaN stays in maximum and minimum, on either side', { skip }, () => {
  const out = new Float32Array(2);
  for (const operation of ['maximum', 'minimum'] as const) {
    addon.binary(operation, Float32Array.of(NaN, 1), [2], Float32Array.of(1, NaN), [2], out, [2]);
    assert.deepEqual([...out], [NaN, NaN]);
  }
});

test('logic', { skip }, () => {
  const a = Uint8Array.of(0, 0, 1, 1);
  const b = Uint8Array.of(0, 1, 0, 1);
  const out = new Uint8Array(4);
  addon.binary('logicalAnd', a, [4], b, [4], out, [4]);
  assert.deepEqual([...out], [0, 0, 0, 1]);
  addon.binary('logicalOr', a, [4], b, [4], out, [4]);
  assert.deepEqual([...out], [0, 1, 1, 1]);
});

const unary: [UnaryOperation, (x: number) => number, number?, number?][] = [
  ['relu', (x) => Math.max(0, x)],
  ['relu6', (x) => Math.min(6, Math.max(0, x))],
  ['step', (x) => (x > 0 ? 1 : 0.5), 0.5],
  ['leakyRelu', (x) => (x < 0 ? 0.25 * x : x), 0.25],
  ['elu', (x) => (x < 0 ? Math.expm1(x) : x)],
  ['clip', (x) => Math.min(1.5, Math.max(-0.5, x)), -0.5, 1.5],
  ['sigmoid', (x) => 1 / (1 + Math.exp(-x))],
  ['tanh', Math.tanh],
  ['softplus', (x) => Math.log1p(Math.exp(x))],
  ['sqrt', Math.sqrt],
  ['rsqrt', (x) => 1 / Math.sqrt(x)],
  ['square', (x) => x * x],
  ['reciprocal', (x) => 1 / x],
  ['exp', Math.exp],
  ['expm1', Math.expm1],
  ['log', Math.log],
  ['log1p', Math.log1p],
  ['neg', (x) => -x],
  ['abs', Math.abs],
  ['sign', Math.sign],
  ['floor', Math.floor],
  ['ceil', Math.ceil],
  ['sin', Math.sin],
  ['cos', Math.cos],
];

const POSITIVE: UnaryOperation[] = ['sqrt', 'rsqrt', 'log', 'log1p'];

for (const [operation, f, parameter0 = 0, parameter1 = 0] of unary) {
  test(operation, { skip }, () => {
    const values = randomFloats('x', 1001).map((value) => 3 * value);
    const x = POSITIVE.includes(operation) ? values.map(Math.abs) : values;
    const out = new Float32Array(x.length).fill(NaN);
    addon.unary(operation, x, out, parameter0, parameter1);
    assert.ok(relativeError(out, Float64Array.from(x, f)) < 1e-6);
  });
}

test('halves are rounded to the even neighbour', { skip }, () => {
  const out = new Float32Array(4);
  addon.unary('round', Float32Array.of(0.5, 1.5, 2.5, 2.6), out, 0, 0);
  assert.deepEqual([...out], [0, 2, 2, 3]);
});

for (const operation of ['relu', 'relu6', 'step', 'clip', 'leakyRelu'] as const) {
  test(`NaN stays in ${operation}`, { skip }, () => {
    const out = Float32Array.of(0);
    addon.unary(operation, Float32Array.of(NaN), out, 0, 1);
    assert.ok(Number.isNaN(out[0]));
  });
}

test('the gradient of ReLU lets through where the output is positive', { skip }, () => {
  const dx = new Float32Array(3);
  addon.reluGradient(Float32Array.of(1, 2, 3), Float32Array.of(0.5, 0, -1), dx);
  assert.deepEqual([...dx], [1, 0, 0]);
});

test('a term is added to the channels from the first on, in every row', { skip }, () => {
  const all = Float32Array.from({ length: 12 }, (_, index) => index);
  const out = new Float32Array(6);
  addon.addToChannels(all, Float32Array.of(10, 20, 30, 40, 50, 60), out, 4, 1);
  assert.deepEqual([...out], [11, 22, 35, 46, 59, 70]);
});

test('select of each type', { skip }, () => {
  const condition = Uint8Array.of(1, 0, 1);
  for (const Type of [Float32Array, Int32Array, Uint8Array]) {
    const out = new Type(3);
    addon.select(condition, Type.of(1, 2, 3), Type.of(4, 5, 6), out);
    assert.deepEqual([...out], [1, 5, 3]);
  }
});

test('casts do as JavaScript does', { skip }, () => {
  const x = Float32Array.of(0, 1.9, -1.9, 2 ** 31, -(2 ** 40) - 2 ** 33, NaN, Infinity);
  const integers = new Int32Array(x.length);
  addon.cast(x, integers);
  assert.deepEqual(integers, Int32Array.from(x));
  const bools = new Uint8Array(x.length);
  addon.cast(x, bools);
  assert.deepEqual([...bools], [0, 1, 1, 1, 1, 1, 1]);
  const floats = new Float32Array(x.length);
  addon.cast(integers, floats);
  assert.deepEqual(floats, Float32Array.from(integers));
});

test('fill of each type', { skip }, () => {
  for (const Type of [Float32Array, Int32Array, Uint8Array]) {
    const out = new Type(70_001);
    addon.fill(out, 3);
    assert.ok(out.every((value) => value === 3));
  }
});

test('the momentum update is the paper’s', { skip }, () => {
  const weight = randomFloats('weight', 1003);
  const velocity = randomFloats('velocity', 1003);
  const gradient = randomFloats('gradient', 1003);
  const nextVelocity = Float64Array.from(
    velocity,
    (v, index) => 0.9 * v - 0.0005 * 0.01 * weight[index]! - 0.01 * gradient[index]!,
  );
  const nextWeight = Float64Array.from(weight, (w, index) => w + nextVelocity[index]!);
  const check = Float32Array.of(NaN);
  addon.momentumUpdate(weight, velocity, gradient, check, 0.01, 0.9, 0.0005);
  assert.equal(check[0], 0);
  assert.ok(relativeError(velocity, nextVelocity) < 1e-6);
  assert.ok(relativeError(weight, nextWeight) < 1e-6);
});

for (const operand of ['weight', 'velocity', 'gradient']) {
  test(`the momentum update notices one ${operand} that is not finite`, { skip }, () => {
    for (const value of [NaN, Infinity, -Infinity]) {
      const of = (name: string): Float32Array => {
        const values = randomFloats(name, 100_003);
        return name === operand ? values.fill(value, 100_001, 100_002) : values;
      };
      const check = Float32Array.of(0);
      addon.momentumUpdate(of('weight'), of('velocity'), of('gradient'), check, 0.01, 0.9, 0.0005);
      assert.ok(Number.isNaN(check[0]));
    }
  });
}

for (const [rate, length] of [
  [0.5, 4096],
  [0.3, 1],
  [0.1, 10_007],
  [0, 6],
] as const) {
  test(`dropout masks of rate ${rate} and length ${length} are src/random.ts’s`, { skip }, () => {
    const key = deriveKey(11, 'dropout', rate, length);
    const expected = new Float32Array(length);
    fillDropoutMask(key, rate, expected);
    const out = new Float32Array(length).fill(NaN);
    addon.dropoutMask(key[0] >>> 0, key[1] >>> 0, rate, out);
    assert.deepEqual(out, expected);
  });
}
