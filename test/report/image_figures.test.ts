import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { drawNeighbours, drawPredictions } from '../../src/report/image_figures.js';

const red = { width: 1, height: 1, pixels: Uint8Array.of(255, 0, 0) };

async function colourAt(png: Uint8Array, left: number, top: number): Promise<number[]> {
  const area = sharp(png).extract({ left, top, width: 1, height: 1 }).removeAlpha();
  return [...(await area.raw().toBuffer())];
}

test('predictions show each image over its bars', async () => {
  const images = [{ picture: red, label: 0, probabilities: [0.9, 0.1] }];
  const png = await drawPredictions(images, ['a', 'b']);
  assert.deepEqual(await colourAt(png, 100, 80), [255, 0, 0]);
});

test('the bar of the right class is red, that of another blue', async () => {
  const images = [{ picture: red, label: 1, probabilities: [0.6, 0.4] }];
  const png = await drawPredictions(images, ['', '']);
  const [first, second] = [await colourAt(png, 20, 176), await colourAt(png, 20, 196)];
  assert.deepEqual(
    [first, second],
    [
      [0x8f, 0xb4, 0xdc],
      [0xe8, 0x83, 0x7a],
    ],
  );
});

test('a class name that is markup is drawn, not obeyed', async () => {
  const names = ['</text><rect width="999" height="999" fill="lime"/>', 'b'];
  const images = [{ picture: red, label: 0, probabilities: [0.9, 0.1] }];
  const png = await drawPredictions(images, names);
  assert.deepEqual(await colourAt(png, 2, 2), [255, 255, 255]);
});

test('neighbours stand to the right of their test image', async () => {
  const green = { width: 1, height: 1, pixels: Uint8Array.of(0, 255, 0) };
  const nearest = [{ picture: green, label: 0, distance: 1 }];
  const png = await drawNeighbours([{ query: { picture: red, label: 0 }, nearest }], ['a'], '');
  assert.deepEqual(
    [await colourAt(png, 60, 80), await colourAt(png, 180, 80)],
    [
      [255, 0, 0],
      [0, 255, 0],
    ],
  );
});
