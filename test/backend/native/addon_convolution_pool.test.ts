/** Against the convolution and the pooling one after the other, which have float64 references of their own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { convolutionGeometry, poolGeometry } from '../../../src/backend/native/geometry.js';
import type { Conv2DInfo } from '../../../src/backend/native/geometry.js';
import { RandomSequence, deriveKey } from '../../../src/random.js';
import {
  filterLength,
  inputLength,
  outputLength,
  randomFloats,
  randomWindow,
  relativeError,
} from './references.js';
import { addon, skip } from './tested_addon.js';

/** Float32 sums of at most some thousand terms, of either sign, in two orders. */
const TOLERANCE = 1e-5;

const random = new RandomSequence(deriveKey(7, 'pooled convolutions'));

interface Sizes {
  convolution: Conv2DInfo;
  pool: Conv2DInfo;
}

/** A pooling of what the convolution gives, in windows of 1 … 3 that overlap or not, and reach past the near edges or not. */
function pooled(convolution: Conv2DInfo): Sizes {
  const { batchSize, outHeight: height, outWidth: width, outChannels: channels } = convolution;
  const filter = 1 + random.below(Math.min(3, height, width));
  const stride = 1 + random.below(filter);
  const before = random.below(filter);
  const out = (size: number): number => Math.floor((size + before - filter) / stride) + 1;
  const pool = {
    ...{ batchSize, inHeight: height, inWidth: width, inChannels: channels },
    ...{ outHeight: out(height), outWidth: out(width), outChannels: channels },
    ...{ filterHeight: filter, filterWidth: filter, strideHeight: stride, strideWidth: stride },
    ...{ dilationHeight: 1, dilationWidth: 1, padInfo: { top: before, left: before } },
  };
  return { convolution, pool };
}

/** Its results are taken in parts: they are larger than the caches that the kernel counts on. */
function large(batchSize: number, size: number, stride: number, outChannels: number): Conv2DInfo {
  const out = Math.floor((64 - size) / stride) + 1;
  return {
    ...{ batchSize, inHeight: 64, inWidth: 64, inChannels: 3 },
    ...{ outHeight: out, outWidth: out, outChannels },
    ...{ filterHeight: size, filterWidth: size, strideHeight: stride, strideWidth: stride },
    ...{ dilationHeight: 1, dilationWidth: 1, padInfo: { top: 0, left: 0 } },
  };
}

/** What is computed at once, and one after the other. */
function bothOf({ convolution, pool }: Sizes, x: Float32Array) {
  const filter = randomFloats('filter', filterLength(convolution));
  const bias = randomFloats('bias', convolution.outChannels);
  const dy = randomFloats('dy', outputLength(pool));
  const geometries = [convolutionGeometry(convolution), poolGeometry(pool)] as const;
  const [geometry, poolOf] = geometries;
  const made = () => ({
    out: new Float32Array(dy.length).fill(NaN),
    dFilter: new Float32Array(filter.length).fill(NaN),
    dBias: new Float32Array(bias.length).fill(NaN),
  });
  const [apart, together] = [made(), made()];
  const [between, dBetween] = [0, 1].map(() => new Float32Array(outputLength(convolution)));
  addon.conv2d(x, filter, bias, between!, geometry, 'relu', 'float32');
  addon.maxPool(between!, apart.out, poolOf);
  addon.maxPoolGradient(dy, between!, apart.out, dBetween!, poolOf, true);
  addon.conv2dBackpropFilter(x, dBetween!, apart.dFilter, apart.dBias, geometry, 'float32');
  const positions = new Uint8Array(dy.length);
  addon.conv2dMaxPool(x, filter, bias, together.out, positions, ...geometries, 'float32');
  const { dFilter, dBias } = together;
  addon.conv2dMaxPoolBackpropFilter(x, dy, positions, dFilter, dBias, ...geometries, 'float32');
  return { apart, together };
}

const sizes = [
  ...Array.from({ length: 12 }, () => pooled(randomWindow(random))),
  pooled(large(5, 3, 1, 40)),
  pooled(large(4, 5, 1, 24)),
  pooled(large(23, 11, 2, 160)),
];

for (const [index, size] of sizes.entries()) {
  const { convolution: c, pool: p } = size;
  const name = `${index}: ${c.filterHeight}×${c.filterWidth} of [${c.batchSize}, ${c.inHeight}, ${c.inWidth}, ${c.inChannels}], ${p.filterHeight}×${p.filterWidth} / ${p.strideHeight} of ${c.outHeight}×${c.outWidth}×${c.outChannels}`;
  for (const threads of [1, 2]) {
    test(`convolution, ReLU and pooling at once, ${threads} threads, ${name}`, { skip }, () => {
      addon.setThreads(threads);
      const { apart, together } = bothOf(size, randomFloats('x', inputLength(c)));
      assert.ok(relativeError(together.out, apart.out) < TOLERANCE);
      assert.ok(relativeError(together.dFilter, apart.dFilter) < TOLERANCE);
      assert.ok(relativeError(together.dBias, apart.dBias) < TOLERANCE);
    });
  }
}

test('of equal values the first has the gradient', { skip }, () => {
  const convolution = { ...large(3, 1, 1, 17), inChannels: 1 };
  const size = pooled(convolution);
  // Images of one colour: every window has the same value everywhere.
  const x = new Float32Array(inputLength(convolution)).map((_, at) => 1 + Math.floor(at / 64 ** 2));
  const { apart, together } = bothOf(size, x);
  assert.deepEqual(together.out, apart.out);
  assert.ok(relativeError(together.dFilter, apart.dFilter) < TOLERANCE);
});

test('NaN in an image reaches the results and the gradients', { skip }, () => {
  const size = sizes.at(-3)!;
  const x = randomFloats('x', inputLength(size.convolution));
  x[Math.floor(x.length / 2)] = NaN;
  const { apart, together } = bothOf(size, x);
  const areNaN = (values: Float32Array): boolean[] => [...values].map(Number.isNaN);
  assert.deepEqual(areNaN(together.out), areNaN(apart.out));
  assert.ok(together.out.some(Number.isNaN) && together.dFilter.some(Number.isNaN));
});

test('no images give nothing, and zero gradients', { skip }, () => {
  const convolution = { ...sizes[0]!.convolution, batchSize: 0 };
  const size = { convolution, pool: { ...sizes[0]!.pool, batchSize: 0 } };
  const { together } = bothOf(size, new Float32Array());
  assert.ok([...together.dFilter, ...together.dBias].every((value) => value === 0));
});

test('a pooling that does not fit, and a window that is too large, are refused', { skip }, () => {
  const convolution = large(1, 1, 1, 1);
  const call = (inHeight: number, size: number) => (): void => {
    const fitting = { ...convolution, inHeight, inChannels: 1, outHeight: 1, outWidth: 1 };
    const pool = {
      ...fitting,
      ...{ filterHeight: size, filterWidth: size, strideHeight: 64, strideWidth: 64 },
    };
    const [x, one] = [new Float32Array(inputLength(convolution)), new Float32Array(1)];
    addon.conv2dMaxPool(
      ...([x, new Float32Array(3), one, one, new Uint8Array(1)] as const),
      convolutionGeometry(convolution),
      poolGeometry(pool),
      'float32',
    );
  };
  call(64, 15)();
  assert.throws(call(65, 15), /^RangeError: conv2dMaxPool: pooling: it does not fit/);
  assert.throws(call(64, 16), /^RangeError: conv2dMaxPool: pooling: its window is too large/);
});
