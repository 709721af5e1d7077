/** Convolutions through the frequency domain, against float64 references and against the direct algorithm. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { loadNativeAddon, nativeIsPrepared } from '../../../src/backend/native/addon.js';
import type {
  ConvolutionAlgorithm,
  ConvolutionPass,
} from '../../../src/backend/native/addon_layers.js';
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
  relativeError,
} from './references.js';

const skip = nativeIsPrepared() ? false : 'the native addon is not built here';
const addon = skip === false ? loadNativeAddon() : undefined!;

before(() => {
  if (skip === false) addon.preferConvolutionAlgorithm('fft');
});
after(() => {
  if (skip === false) addon.preferConvolutionAlgorithm('cheapest');
});

const PASSES: ConvolutionPass[] = ['forward', 'input', 'filter'];

function algorithmOf(pass: ConvolutionPass, geometry: Int32Array): ConvolutionAlgorithm {
  return addon.convolutionAlgorithm(pass, geometry, 'float32').algorithm;
}

interface Window {
  batch: number;
  height: number;
  width: number;
  channels: number;
  kernels: number;
  size: number;
  stride?: number;
  /** Rows and columns of zeros before and after. */
  pad: { top: number; left: number; bottom: number; right: number };
}

function convolutionOf(window: Window): Conv2DInfo {
  const { size, pad, stride = 1 } = window;
  const outputs = (length: number, zeros: number): number =>
    Math.floor((length + zeros - size) / stride) + 1;
  return {
    batchSize: window.batch,
    inHeight: window.height,
    inWidth: window.width,
    inChannels: window.channels,
    outHeight: outputs(window.height, pad.top + pad.bottom),
    outWidth: outputs(window.width, pad.left + pad.right),
    outChannels: window.kernels,
    filterHeight: size,
    filterWidth: size,
    strideHeight: stride,
    strideWidth: stride,
    dilationHeight: 1,
    dilationWidth: 1,
    padInfo: { top: pad.top, left: pad.left },
  };
}

const evenly = (pad: number): Window['pad'] => ({ top: pad, left: pad, bottom: pad, right: pad });

/** Any batch up to 130, maps of one tile or many, channels that fill no vector. Small enough for plain loops. */
function randomConvolution(random: RandomSequence): Conv2DInfo {
  const from = (low: number, high: number): number => low + random.below(high - low + 1);
  const size = [3, 5, 7][from(0, 2)]!;
  const pad = (): number => from(0, size - 1);
  const info = convolutionOf({
    batch: from(1, 130),
    height: from(size, 50),
    width: from(size, 40),
    channels: from(1, 40),
    kernels: from(1, 40),
    size,
    pad: { top: pad(), left: pad(), bottom: pad(), right: pad() },
  });
  const products = (): number => (outputLength(info) / info.outChannels) * filterLength(info);
  while (products() > 4e5 && info.batchSize > 1) info.batchSize = Math.ceil(info.batchSize / 2);
  while (products() > 4e5) {
    info.inChannels = Math.ceil(info.inChannels / 2);
    info.outChannels = Math.ceil(info.outChannels / 2);
  }
  return info;
}

function describe(g: Conv2DInfo): string {
  return `${g.filterHeight}×${g.filterWidth} of [${g.batchSize}, ${g.inHeight}, ${g.inWidth}, ${g.inChannels}] to [${g.outHeight}, ${g.outWidth}, ${g.outChannels}], pad ${g.padInfo.top}+${g.padInfo.left}`;
}

/** What the addon computes of a convolution, in arrays that held NaN. */
function passesOf(g: Conv2DInfo): Record<'out' | 'dx' | 'dFilter' | 'dBias', Float32Array> {
  const geometry = convolutionGeometry(g);
  const nothing = (length: number): Float32Array => new Float32Array(length).fill(NaN);
  const out = nothing(outputLength(g));
  const dx = nothing(inputLength(g));
  const dFilter = nothing(filterLength(g));
  const dBias = nothing(g.outChannels);
  const { x, filter, bias, dy } = operandsOf(g);
  addon.conv2d(x, filter, bias, out, geometry, 'relu', 'float32');
  addon.conv2dBackpropInput(dy, filter, dx, geometry, 'float32');
  addon.conv2dBackpropFilter(x, dy, dFilter, dBias, geometry, 'float32');
  return { out, dx, dFilter, dBias };
}

function operandsOf(g: Conv2DInfo): Record<'x' | 'filter' | 'bias' | 'dy', Float32Array> {
  return {
    x: numbers('x', inputLength(g)),
    filter: numbers('filter', filterLength(g)),
    bias: numbers('bias', g.outChannels),
    dy: numbers('dy', outputLength(g)),
  };
}

/** N(0, 1), drawn once and repeated, which is quick for millions. */
function numbers(name: string, length: number): Float32Array {
  const drawn = randomFloats(name, Math.min(length, 10007));
  const all = new Float32Array(length);
  for (let start = 0; start < length; start += drawn.length) {
    all.set(drawn.subarray(0, length - start), start);
  }
  return all;
}

/** The greatest relative error of a pass in norm, against float64. */
function worstError(g: Conv2DInfo): number {
  const { x, filter, bias, dy } = operandsOf(g);
  const { out, dx, dFilter, dBias } = passesOf(g);
  return Math.max(
    relativeError(
      out,
      convolution(g, x, filter, bias).map((value) => Math.max(0, value)),
    ),
    relativeError(dx, convolutionInputGradient(g, dy, filter)),
    relativeError(dFilter, convolutionFilterGradient(g, x, dy)),
    biasError(dBias, dy),
  );
}

/** The greatest error of the sums of dy, by the sum of what was added: the sums themselves may be near zero. */
function biasError(dBias: Float32Array, dy: Float32Array): number {
  const sums = new Float64Array(dBias.length);
  const magnitudes = new Float64Array(dBias.length);
  dy.forEach((value, index) => {
    sums[index % sums.length]! += value;
    magnitudes[index % sums.length]! += Math.abs(value);
  });
  return Math.max(
    ...sums.map((sum, channel) => Math.abs(dBias[channel]! - sum) / magnitudes[channel]!),
  );
}

test('the passes of 200 random convolutions are within 1e-6 of float64', { skip }, () => {
  addon.setThreads(2);
  const random = new RandomSequence(deriveKey(11, 'convolutions'));
  for (let count = 0; count < 200; count++) {
    const g = randomConvolution(random);
    for (const pass of PASSES) {
      assert.equal(algorithmOf(pass, convolutionGeometry(g)), 'fft');
    }
    const error = worstError(g);
    assert.ok(error < 1e-6, `${describe(g)}: ${error}`);
  }
});

test('a stride over few channels is computed over blocks of pixels', { skip }, () => {
  const g = convolutionOf({
    batch: 3,
    height: 47,
    width: 39,
    channels: 3,
    kernels: 20,
    size: 11,
    stride: 4,
    pad: { top: 1, left: 2, bottom: 0, right: 1 },
  });
  const geometry = convolutionGeometry(g);
  assert.equal(algorithmOf('forward', geometry), 'fft');
  assert.equal(algorithmOf('filter', geometry), 'fft');
  assert.ok(worstError(g) < 1e-6);
});

test('the bits are the same with one thread and with three', { skip }, () => {
  const g = convolutionOf({
    batch: 21,
    height: 27,
    width: 27,
    channels: 40,
    kernels: 72,
    size: 5,
    pad: evenly(2),
  });
  addon.setThreads(1);
  const alone = passesOf(g);
  addon.setThreads(3);
  assert.deepEqual(passesOf(g), alone);
});

test('an algorithm that is kept is taken for every batch that it can compute', { skip }, () => {
  const window = { height: 12, width: 12, channels: 16, kernels: 16, size: 3, pad: evenly(1) };
  const geometry = (batch: number, kernels = 16): Int32Array =>
    convolutionGeometry(convolutionOf({ ...window, batch, kernels }));
  const choice = (of: Int32Array): [string, number] => {
    const { algorithm, transformSize } = addon.convolutionAlgorithm('filter', of, 'float32');
    return [algorithm, transformSize];
  };
  addon.preferConvolutionAlgorithm('cheapest');
  try {
    assert.equal(addon.computesConvolutionBy('filter', geometry(2), 'float32', 'fft', 36), true);
    assert.equal(addon.computesConvolutionBy('filter', geometry(2), 'float32', 'fft', 31), false);
    const before = choice(geometry(2, 24));
    addon.keepConvolutionAlgorithm('filter', geometry(2), 'float32', 'fft', 36);
    assert.deepEqual(
      [choice(geometry(2)), choice(geometry(5))],
      [
        ['fft', 36],
        ['fft', 36],
      ],
    );
    assert.deepEqual(choice(geometry(2, 24)), before);
  } finally {
    addon.preferConvolutionAlgorithm('fft');
  }
});

test('spectra beyond the scratch memory are computed in parts', { skip }, () => {
  addon.setThreads(2);
  const wide = { height: 26, width: 28, size: 3, pad: evenly(1) };
  for (const window of [
    { ...wide, batch: 70, channels: 90, kernels: 250 },
    { ...wide, batch: 70, channels: 250, kernels: 90 },
    { ...wide, batch: 400, channels: 120, kernels: 17 },
  ]) {
    const g = convolutionOf(window);
    addon.preferConvolutionAlgorithm('fft');
    const parts = passesOf(g);
    addon.preferConvolutionAlgorithm('direct');
    const direct = passesOf(g);
    addon.preferConvolutionAlgorithm('fft');
    // The direct algorithm adds up to so many products to one float32, each time with a rounding of half a place.
    const products = window.batch * window.height * window.width;
    const tolerance = 2 ** -24 * Math.sqrt(products);
    for (const name of ['out', 'dx', 'dFilter', 'dBias'] as const) {
      const error = relativeError(parts[name], direct[name]);
      assert.ok(error < tolerance, `${name} of ${describe(g)}: ${error}`);
    }
  }
});

test('ReLU keeps NaN', { skip }, () => {
  const g = convolutionOf({
    batch: 2,
    height: 6,
    width: 6,
    channels: 4,
    kernels: 5,
    size: 3,
    pad: evenly(1),
  });
  const { filter, x } = operandsOf(g);
  const out = new Float32Array(outputLength(g));
  x[7] = NaN;
  addon.conv2d(x, filter, null, out, convolutionGeometry(g), 'relu', 'float32');
  assert.ok(out.every(Number.isNaN));
});

test('a convolution that no transform fits is left to the direct algorithm', { skip }, () => {
  const window = { batch: 2, height: 12, width: 12, channels: 8, kernels: 8, pad: evenly(1) };
  for (const g of [
    convolutionOf({ ...window, size: 4 }),
    convolutionOf({ ...window, size: 3, stride: 2, channels: 80 }),
    { ...convolutionOf({ ...window, size: 3 }), outHeight: 10, dilationHeight: 2 },
  ]) {
    for (const pass of PASSES) {
      assert.equal(algorithmOf(pass, convolutionGeometry(g)), 'direct');
    }
  }
});

test(
  'the cheapest algorithm follows from geometry, not from the number of threads',
  { skip },
  () => {
    addon.preferConvolutionAlgorithm('cheapest');
    const choices = (threads: number): string[] => {
      addon.setThreads(threads);
      return [
        { batch: 128, height: 27, width: 27, channels: 96, kernels: 256, size: 5, pad: evenly(2) },
        { batch: 64, height: 32, width: 32, channels: 3, kernels: 32, size: 3, pad: evenly(1) },
        { batch: 8, height: 6, width: 6, channels: 16, kernels: 16, size: 1, pad: evenly(0) },
      ].map((window) => {
        return algorithmOf('forward', convolutionGeometry(convolutionOf(window)));
      });
    };
    assert.deepEqual(choices(1), ['fft', 'direct', 'direct']);
    assert.deepEqual(choices(3), ['fft', 'direct', 'direct']);
    addon.preferConvolutionAlgorithm('fft');
  },
);
