import assert from 'node:assert/strict';
import { test } from 'node:test';
import { poolGeometry } from '../../../src/backend/native/geometry.js';
import { RandomSequence, deriveKey } from '../../../src/random.js';
import {
  forEachTap,
  inputLength,
  outputLength,
  randomFloats,
  randomWindow,
  relativeError,
} from './references.js';
import { addon, skip } from './tested_addon.js';

const random = new RandomSequence(deriveKey(7, 'pools'));

for (let index = 0; index < 12; index++) {
  const window = randomWindow(random);
  const channels = window.inChannels;
  const g = { ...window, outChannels: channels };
  const geometry = poolGeometry(g);
  const name = `${g.filterHeight}×${g.filterWidth} / ${g.strideHeight}×${g.strideWidth}, dilation ${g.dilationHeight}×${g.dilationWidth}, pad ${g.padInfo.top}+${g.padInfo.left}, of [${g.batchSize}, ${g.inHeight}, ${g.inWidth}, ${channels}]`;
  // Few different values, so that windows have several greatest ones.
  const x = randomFloats('x', inputLength(g)).map((value) => Math.round(value * 2));
  const dy = randomFloats('dy', outputLength(g));

  const greatest = new Float64Array(dy.length).fill(-Infinity);
  const greatestAt = new Int32Array(dy.length);
  const sums = new Float64Array(dy.length);
  const counts = new Float64Array(dy.length);
  forEachTap(g, (output, _, input) => {
    for (let c = 0; c < channels; c++) {
      const value = x[input * channels + c]!;
      const at = output * channels + c;
      sums[at]! += value;
      counts[at]! += 1;
      if (value <= greatest[at]!) continue;
      greatest[at] = value;
      greatestAt[at] = input * channels + c;
    }
  });

  test(`max pooling ${name}`, { skip }, () => {
    const out = new Float32Array(dy.length).fill(NaN);
    addon.maxPool(x, out, geometry);
    assert.deepEqual([...out], [...greatest]);
  });

  test(`gradient of max pooling ${name}`, { skip }, () => {
    const expected = new Float64Array(x.length);
    dy.forEach((value, at) => {
      if (greatest[at] !== -Infinity) expected[greatestAt[at]!]! += value;
    });
    const dx = new Float32Array(x.length).fill(NaN);
    addon.maxPoolGradient(dy, x, Float32Array.from(greatest), dx, geometry, false);
    assert.ok(relativeError(dx, expected) < 1e-5);
  });

  test(`gradient of max pooling and of the ReLU before it, ${name}`, { skip }, () => {
    const activations = x.map((value) => (Number.isNaN(value) ? value : Math.max(0, value)));
    activations[5] = NaN;
    const y = new Float32Array(dy.length);
    addon.maxPool(activations, y, geometry);
    const [whole, after] = [new Float32Array(x.length), new Float32Array(x.length).fill(NaN)];
    addon.maxPoolGradient(dy, activations, y, whole, geometry, false);
    const expected = new Float32Array(x.length);
    addon.reluGradient(whole, activations, expected);
    addon.maxPoolGradient(dy, activations, y, after, geometry, true);
    assert.deepEqual(after, expected);
    assert.ok(expected.some((value) => value !== 0));
  });

  for (const ofRelu of [false, true]) {
    const before = ofRelu ? 'the normalization and the ReLU' : 'the normalization';
    test(`gradient of max pooling and of ${before} before it, ${name}`, { skip }, () => {
      const recipe = [channels, 2, 1, 0.3, 0.75] as const;
      const activations = x.map((value) => (ofRelu ? Math.max(0, value) : value));
      const normalized = new Float32Array(x.length);
      addon.localResponseNormalization(activations, normalized, ...recipe);
      const y = new Float32Array(dy.length);
      addon.maxPool(normalized, y, geometry);
      const ofPool = new Float32Array(x.length);
      addon.maxPoolGradient(dy, normalized, y, ofPool, geometry, false);
      const expected = new Float32Array(x.length);
      addon.localResponseNormalizationGradient(ofPool, activations, expected, ...recipe);
      if (ofRelu) addon.reluGradient(expected.slice(), activations, expected);
      const dx = new Float32Array(x.length).fill(NaN);
      addon.maxPoolOfNormalizedGradient(
        dy,
        activations,
        normalized,
        y,
        dx,
        geometry,
        ...recipe,
        ofRelu,
      );
      assert.deepEqual(dx, expected);
      assert.ok(expected.some((value) => value !== 0));
    });
  }

  test(`average pooling ${name}`, { skip }, () => {
    const out = new Float32Array(dy.length).fill(NaN);
    addon.averagePool(x, out, geometry);
    const expected = sums.map((sum, at) => sum / counts[at]!);
    out.forEach((value, at) => {
      // A window that lies wholly in the padding has no mean.
      if (counts[at] === 0) assert.ok(Number.isNaN(value));
      else assert.ok(Math.abs(value - expected[at]!) < 1e-5);
    });
  });

  test(`gradient of average pooling ${name}`, { skip }, () => {
    const expected = new Float64Array(x.length);
    forEachTap(g, (output, _, input) => {
      for (let c = 0; c < channels; c++) {
        expected[input * channels + c]! +=
          dy[output * channels + c]! / (g.filterHeight * g.filterWidth);
      }
    });
    const dx = new Float32Array(x.length).fill(NaN);
    addon.averagePoolGradient(dy, dx, geometry);
    assert.ok(relativeError(dx, expected) < 1e-5);
  });
}
