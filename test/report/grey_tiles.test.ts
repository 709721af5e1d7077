import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { drawLayerKernels, drawMaps } from '../../src/report/grey_tiles.js';

/** The red bytes of a PNG, row by row. */
async function greysOf(png: Uint8Array): Promise<{ width: number; bytes: Uint8Array }> {
  const { data, info } = await sharp(png).extractChannel(0).raw().toBuffer({
    resolveWithObject: true,
  });
  return { width: info.width, bytes: data };
}

/** Where the first grid lies: below the margin and its caption; 2 pixels frame each tile. */
const LEFT = 16 + 2;
const TOP = 16 + 22 + 2;

test('kernels stand in rows and their inputs in columns, each scaled by its kernel’s largest weight', async () => {
  // Two kernels of one tower, two inputs, 1 × 1: ±4 of 4, then 1 and 0 of 1.
  const data = Float32Array.of(4, -4, 1, 0);
  const { width, bytes } = await greysOf(
    await drawLayerKernels('conv2', { shape: [2, 2, 1, 1], data }, 1),
  );
  // 6 pixels per value, the largest scale.
  const at = (row: number, column: number) =>
    bytes[(TOP + row * 8 + 3) * width + LEFT + column * 8 + 3];
  assert.deepEqual([at(0, 0), at(0, 1), at(1, 0), at(1, 1)], [255, 0, 255, 128]);
});

test('maps are as bright as the layer’s largest activation makes them, in every tower', async () => {
  const seen = { width: 1, height: 1, pixels: new Uint8Array(3) };
  const shape: [number, number, number] = [1, 1, 2];
  const towers = [
    { shape, data: Float32Array.of(0.5, 0) },
    { shape, data: Float32Array.of(1, 0.5) },
  ];
  const { width, bytes } = await greysOf(await drawMaps(seen, [{ layer: 'fc1', towers }]));
  // The picture and its margin come first; a unit is 8 pixels wide.
  const top = (tower: number) => TOP + (22 + 1 + 16) + tower * (22 + 12 + 16);
  const at = (tower: number, unit: number) =>
    bytes[(top(tower) + 4) * width + LEFT + unit * 10 + 4];
  assert.deepEqual([at(0, 0), at(0, 1), at(1, 0), at(1, 1)], [128, 0, 255, 128]);
});

test('a layer whose kernels would make an enormous picture is refused by its name', async () => {
  const shape: [number, number, number, number] = [4096, 4096, 3, 3];
  await assert.rejects(
    drawLayerKernels('fc6', { shape, data: new Float32Array(0) }, 1),
    /layer fc6: its kernels would be a picture of 20482×20482 pixels/,
  );
});
