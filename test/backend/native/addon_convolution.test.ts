import assert from 'node:assert/strict';
import { test } from 'node:test';
import { convolutionGeometry, type Conv2DInfo } from '../../../src/backend/native/geometry.js';
import { RandomSequence, deriveKey } from '../../../src/random.js';
import {
  convolution,
  convolutionFilterGradient,
  convolutionInputGradient,
  filterLength,
  inputLength,
  outputLength,
  randomFloats,
  randomWindow,
  relativeError,
} from './references.js';
import { addon, skip } from './tested_addon.js';

const withoutBfloat16 = skip !== false || !addon.information().bf16;

// Sums of some hundreds of products, each off by 2^-24 at most, in random directions.
const FLOAT32_ERROR = 1e-5;
// Operands keep 8 bits: each is off by 2^-9 at most.
const BFLOAT16_ERROR = 1e-2;

const random = new RandomSequence(deriveKey(7, 'windows'));
const windows = Array.from({ length: 12 }, () => randomWindow(random));
// Of a size that Winograd's algorithm takes, in tiles that do not fit.
windows.push({
  ...{ batchSize: 1, inHeight: 9, inWidth: 7, inChannels: 64 },
  ...{ outHeight: 9, outWidth: 6, outChannels: 80, filterHeight: 3, filterWidth: 3 },
  ...{ strideHeight: 1, strideWidth: 1, dilationHeight: 1, dilationWidth: 1 },
  padInfo: { top: 1, left: 1 },
});

// Of few channels for their stride, which in bfloat16 are taken as blocks: padded, filters no multiple of it.
windows.push({
  ...{ batchSize: 2, inHeight: 30, inWidth: 33, inChannels: 3 },
  ...{ outHeight: 6, outWidth: 7, outChannels: 16, filterHeight: 11, filterWidth: 10 },
  ...{ strideHeight: 4, strideWidth: 4, dilationHeight: 1, dilationWidth: 1 },
  padInfo: { top: 1, left: 2 },
});
windows.push({
  ...{ batchSize: 1, inHeight: 12, inWidth: 9, inChannels: 5 },
  ...{ outHeight: 6, outWidth: 4, outChannels: 7, filterHeight: 3, filterWidth: 2 },
  ...{ strideHeight: 2, strideWidth: 2, dilationHeight: 1, dilationWidth: 1 },
  padInfo: { top: 1, left: 0 },
});

function describe(g: Conv2DInfo): string {
  return `${g.filterHeight}×${g.filterWidth} / ${g.strideHeight}×${g.strideWidth}, dilation ${g.dilationHeight}×${g.dilationWidth}, pad ${g.padInfo.top}+${g.padInfo.left}, of [${g.batchSize}, ${g.inHeight}, ${g.inWidth}, ${g.inChannels}] to ${g.outChannels}`;
}

for (const threads of [1, 2]) {
  for (const g of windows) {
    const name = `with ${threads} threads, ${describe(g)}`;
    const geometry = convolutionGeometry(g);
    const x = randomFloats('x', inputLength(g));
    const filter = randomFloats('filter', filterLength(g));
    const bias = randomFloats('bias', g.outChannels);
    const dy = randomFloats('dy', outputLength(g));

    test(`convolution and bias ${name}`, { skip }, () => {
      addon.setThreads(threads);
      const out = new Float32Array(dy.length).fill(NaN);
      addon.conv2d(x, filter, bias, out, geometry, 'linear', 'float32');
      assert.ok(relativeError(out, convolution(g, x, filter, bias)) < FLOAT32_ERROR);
    });

    test(`convolution and ReLU ${name}`, { skip }, () => {
      addon.setThreads(threads);
      const out = new Float32Array(dy.length).fill(NaN);
      addon.conv2d(x, filter, null, out, geometry, 'relu', 'float32');
      const expected = convolution(g, x, filter, null).map((value) => Math.max(0, value));
      assert.ok(relativeError(out, expected) < FLOAT32_ERROR);
    });

    test(`gradient by the input ${name}`, { skip }, () => {
      addon.setThreads(threads);
      const dx = new Float32Array(x.length).fill(NaN);
      addon.conv2dBackpropInput(dy, filter, dx, geometry, 'float32');
      assert.ok(relativeError(dx, convolutionInputGradient(g, dy, filter)) < FLOAT32_ERROR);
    });

    test(`gradient by the filter ${name}`, { skip }, () => {
      addon.setThreads(threads);
      const dFilter = new Float32Array(filter.length).fill(NaN);
      addon.conv2dBackpropFilter(x, dy, dFilter, null, geometry, 'float32');
      assert.ok(relativeError(dFilter, convolutionFilterGradient(g, x, dy)) < FLOAT32_ERROR);
    });

    test(`gradient by the bias ${name}`, { skip }, () => {
      addon.setThreads(threads);
      const dBias = new Float32Array(bias.length).fill(NaN);
      const dFilter = new Float32Array(filter.length);
      addon.conv2dBackpropFilter(x, dy, dFilter, dBias, geometry, 'float32');
      const sums = new Float64Array(bias.length);
      dy.forEach((value, index) => (sums[index % bias.length]! += value));
      assert.ok(relativeError(dBias, sums) < FLOAT32_ERROR);
    });

    test(`in bfloat16 ${name}`, { skip: skip !== false ? skip : withoutBfloat16 }, () => {
      addon.setThreads(threads);
      const out = new Float32Array(dy.length);
      const dx = new Float32Array(x.length);
      const dFilter = new Float32Array(filter.length);
      // The other algorithms do not round their operands.
      addon.preferConvolutionAlgorithm('direct');
      addon.conv2d(x, filter, bias, out, geometry, 'linear', 'bf16');
      addon.conv2dBackpropInput(dy, filter, dx, geometry, 'bf16');
      addon.conv2dBackpropFilter(x, dy, dFilter, null, geometry, 'bf16');
      addon.preferConvolutionAlgorithm('cheapest');
      const errors = [
        relativeError(out, convolution(g, x, filter, bias)),
        relativeError(dx, convolutionInputGradient(g, dy, filter)),
        relativeError(dFilter, convolutionFilterGradient(g, x, dy)),
      ];
      assert.ok(Math.max(...errors) < BFLOAT16_ERROR, errors.join(' '));
      assert.ok(Math.min(...errors) > FLOAT32_ERROR, 'the operands were not rounded');
    });
  }
}

test('a convolution of no images gives nothing, and zero gradients', { skip }, () => {
  const none = { ...windows[0]!, batchSize: 0 };
  const geometry = convolutionGeometry(none);
  const empty = new Float32Array();
  const filter = randomFloats('filter', filterLength(none));
  addon.conv2d(empty, filter, null, empty, geometry, 'linear', 'float32');
  addon.conv2dBackpropInput(empty, filter, empty, geometry, 'float32');
  const dFilter = new Float32Array(filter.length).fill(NaN);
  addon.conv2dBackpropFilter(empty, empty, dFilter, null, geometry, 'float32');
  assert.ok(dFilter.every((value) => value === 0));
});

test('views of a shared buffer are read and written where they lie', { skip }, () => {
  const g = windows[1]!;
  const shared = new SharedArrayBuffer(4 * (inputLength(g) + outputLength(g) + 3));
  const x = new Float32Array(shared, 4, inputLength(g));
  const out = new Float32Array(shared, 4 * (inputLength(g) + 2), outputLength(g));
  x.set(randomFloats('x', x.length));
  const filter = randomFloats('filter', filterLength(g));
  addon.conv2d(x, filter, null, out, convolutionGeometry(g), 'linear', 'float32');
  assert.ok(relativeError(out, convolution(g, x, filter, null)) < FLOAT32_ERROR);
});
