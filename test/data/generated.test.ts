import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawGeneratedImage } from '../../src/data/generated.js';

const draw = (split: 'train' | 'test', index: number) =>
  drawGeneratedImage(split, index, new Uint8Array(3072));

test('an image depends on its split and index alone', () => {
  const first = draw('train', 41).image.pixels;
  draw('train', 3);
  assert.deepEqual(draw('train', 41).image.pixels, first);
});

test('images of one class, and of the two splits, differ', () => {
  const images = [draw('train', 4), draw('train', 14), draw('test', 4)];
  assert.equal(new Set(images.map(({ image }) => image.pixels.join())).size, 3);
});

test('labels go round the ten classes', () => {
  const labels = Array.from({ length: 12 }, (_, index) => draw('test', index).label);
  assert.deepEqual(labels, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
});

/** Red, green and blue, averaged over an image. */
function meanColour(pixels: Uint8Array): number[] {
  const sums = [0, 0, 0];
  pixels.forEach((value, byte) => (sums[byte % 3]! += value));
  return sums.map((sum) => sum / 1024);
}

test('the mean colour does not give the class away', () => {
  const centres = Array.from({ length: 10 }, () => [0, 0, 0]);
  for (let index = 0; index < 5000; index++) {
    const { image, label } = draw('train', index);
    meanColour(image.pixels).forEach((value, channel) => {
      centres[label]![channel]! += value / 500;
    });
  }
  let correct = 0;
  for (let index = 0; index < 1000; index++) {
    const { image, label } = draw('test', index);
    const colour = meanColour(image.pixels);
    const distances = centres.map((centre) =>
      Math.hypot(...centre.map((value, channel) => value - colour[channel]!)),
    );
    if (distances.indexOf(Math.min(...distances)) === label) correct++;
  }
  // Chance is 100 of 1000, with a deviation of 9.5.
  assert.ok(correct < 200, `${correct} of 1000 from the nearest mean colour`);
});

test("no class's images are flat", () => {
  for (let index = 0; index < 100; index++) {
    const { image, label } = draw('train', index);
    const spread = Math.max(...image.pixels) - Math.min(...image.pixels);
    assert.ok(spread > 40, `class ${label}, example ${index}: ${spread}`);
  }
});
