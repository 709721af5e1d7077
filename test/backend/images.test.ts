/** The golden images are NumPy's: see scripts/golden_views.py. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { normalizationTable, normalizedImages } from '../../src/backend/images.js';
import { golden, goldenImage } from '../data/golden_views.js';

for (const scale of ['eigenvalue', 'standardDeviation'] as const) {
  test(`images less their mean image, with colour noise along the ${scale}s, are NumPy's`, async () => {
    await tf.setBackend('cpu');
    const { std, images } = golden.normalized;
    const { height, width, pixels } = goldenImage;
    const meanImage = Float32Array.from(
      golden.normalized.meanImage,
      (value, at) => value / 255 / std[at % 3]!,
    );
    const noise = Float32Array.from(golden.colour.noise[scale], (value) => value / 255);
    const normalization = { table: normalizationTable([0, 0, 0], std), std, meanImage };
    const shape: [number, number, number, number] = [1, height, width, 3];
    const actual = normalizedImages({ bytes: pixels }, normalization, noise, shape).dataSync();
    images[scale].forEach((expected, at) => {
      // Up to 8 in size, from three float32 terms: three roundings of 2^-22.
      assert.ok(
        Math.abs(actual[at]! - expected) < 3 * 2 ** -22 * 2,
        `${actual[at]}, not ${expected}`,
      );
    });
  });
}
