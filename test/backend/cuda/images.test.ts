/** The network's input as the GPU makes it, bit by bit against the CPU's. */
import './use_double.js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { normalizationTable, normalizedImages } from '../../../src/backend/images.js';
import { nativeIsPrepared } from '../../../src/backend/native/addon.js';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import {
  NATIVE,
  NATIVE_CUDA,
  registerCuda,
  registerNative,
} from '../../../src/backend/native/native.js';
import { valuesOf } from '../../../src/backend/values.js';
import { imageIn } from '../../../src/data/batch_memory.js';
import { type ImageViews, type Size, WINDOW_NUMBERS } from '../../../src/image_views.js';
import { RandomSequence, deriveKey } from '../../../src/random.js';

const skip = cudaIsPrepared() && nativeIsPrepared() ? false : 'the addons are not built here';
if (skip === false) {
  registerNative(1);
  registerCuda(0);
}

const COUNT = 3;
const MEAN = [0.5, 0.45, 0.4];
const STD = [0.25, 0.22, 0.3];

/** Images, windows, a mean image and colours, a function of `index`. */
function drawCase(index: number, cutFrom: ImageViews['cutFrom']) {
  const random = new RandomSequence(deriveKey(7, 'views', index));
  const size = (most: number): Size => ({
    height: 1 + random.below(most),
    width: 1 + random.below(most),
  });
  const source = size(40);
  const input = size(50);
  const larger = { height: input.height + random.below(9), width: input.width + random.below(9) };
  const resized = cutFrom === 'source' ? input : larger;
  const window = cutFrom === 'source' ? source : input;
  const start = (inner: number, outer: number): number =>
    cutFrom === 'source'
      ? random.below(2 * inner + 3) - inner - 1
      : random.below(outer - inner + 1);
  const windows = new SharedArrayBuffer(COUNT * WINDOW_NUMBERS * 4);
  for (let image = 0; image < COUNT; image++) {
    const top = start(window.height, resized.height);
    const left = start(window.width, resized.width);
    const numbers = [top, left, window.height, window.width, random.below(2)];
    new Int32Array(windows).set(numbers, image * WINDOW_NUMBERS);
  }
  const pixels = new SharedArrayBuffer(COUNT * source.height * source.width * 3);
  new Uint8Array(pixels).forEach((_, at, bytes) => (bytes[at] = random.below(256)));
  const floats = (length: number) => Float32Array.from({ length }, () => random.uniform() - 0.5);
  return {
    pixels,
    input,
    views: { windows, source, cutFrom, resized },
    meanImage: random.below(2) === 0 ? null : floats(input.height * input.width * 3),
    noise: random.below(2) === 0 ? null : floats(COUNT * 3),
  };
}

async function bitsOf(
  backend: string,
  batch: { bytes: Uint8Array; views?: ImageViews },
  meanImage: Float32Array | null,
  noise: Float32Array | null,
  { height, width }: Size,
): Promise<Uint32Array> {
  await tf.setBackend(backend);
  const normalization = { table: normalizationTable(MEAN, STD), std: STD, meanImage };
  const shape: [number, number, number, number] = [COUNT, height, width, 3];
  const values = valuesOf(() => normalizedImages(batch, normalization, noise, shape));
  return new Uint32Array(values.slice().buffer);
}

for (const cutFrom of ['source', 'resized'] as const) {
  test(
    `windows of the ${cutFrom} image are the CPU's to the bit, in any size`,
    { skip },
    async () => {
      for (let index = 0; index < 60; index++) {
        const { pixels, input, views, meanImage, noise } = drawCase(index, cutFrom);
        const seen = Array.from({ length: COUNT }, (_, image) =>
          imageIn({ pixels, views }, image, input),
        );
        const bytes = Uint8Array.from(seen.flatMap((image) => [...image]));
        const expected = await bitsOf(NATIVE, { bytes }, meanImage, noise, input);
        const given = { bytes: new Uint8Array(pixels), views };
        const actual = await bitsOf(NATIVE_CUDA, given, meanImage, noise, input);
        assert.deepEqual(actual, expected, `case ${index}`);
      }
    },
  );
}

test("images of the input's size are the CPU's to the bit", { skip }, async () => {
  for (let index = 0; index < 8; index++) {
    const { pixels, views, noise } = drawCase(index, 'source');
    const { source: input } = views;
    const bytes = new Uint8Array(pixels);
    const meanImage = Float32Array.from({ length: bytes.length / COUNT }, (_, at) => at / 100);
    const expected = await bitsOf(NATIVE, { bytes }, meanImage, noise, input);
    const actual = await bitsOf(NATIVE_CUDA, { bytes }, meanImage, noise, input);
    assert.deepEqual(actual, expected, `case ${index}`);
  }
});
