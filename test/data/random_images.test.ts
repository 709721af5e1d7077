import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RandomSet, drawRandomImage } from '../../src/data/random_images.js';

const set: RandomSet = { kind: 'random', split: 'train', count: 4096, classes: 7 };
const draw = (index: number, side: number) =>
  drawRandomImage(set, index, side, side, new Uint8Array(side * side * 3));

test('an image and its label depend on the index alone', () => {
  const first = draw(9, 24);
  draw(10, 24);
  assert.deepEqual(draw(9, 24), first);
  assert.notDeepEqual(draw(10, 24).image.pixels, first.image.pixels);
});

test('every class occurs and none else', () => {
  const labels = new Set(Array.from({ length: 300 }, (_, index) => draw(index, 1).label));
  assert.deepEqual(
    [...labels].sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6],
  );
});

test('an image larger than the noise is filled to its end', () => {
  // 700 × 700 × 3 bytes are more than the megabyte of noise.
  const { pixels } = draw(0, 700).image;
  const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  // Uniform bytes: mean 127.5; deviation of the mean of a megabyte of them 73.9 / 1024 = 0.07.
  assert.ok(Math.abs(mean - 127.5) < 0.5, `${mean}`);
  assert.notEqual(new Set(pixels.subarray(-64)).size, 1);
});
