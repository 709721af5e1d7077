import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageView } from '../../src/configuration.js';
import { readRecord } from '../../src/data/cifar10.js';
import { Decoder, type BatchBuffers } from '../../src/data/decoder.js';
import { BilinearResizer } from '../../src/data/resize.js';
import { cutInto, drawWindow } from '../../src/data/views.js';
import { recordsDataset } from './records.js';

const SEED = 5;
const dataset = recordsDataset(6, 3);

const PAD: ImageView = { type: 'pad', pixels: 4 };
const CROP: ImageView = { type: 'crop', from: 32 };

function decoderWithBatchBuffers(side: number, view = PAD) {
  const slot: BatchBuffers = {
    pixels: new SharedArrayBuffer(2 * side * side * 3),
    labels: new SharedArrayBuffer(2 * 4),
  };
  const decoder = new Decoder({
    dataset,
    data: { view, flip: true },
    height: side,
    width: side,
    seed: SEED,
    colourAxes: null,
    buffers: [slot],
  });
  return { decoder, pixels: new Uint8Array(slot.pixels), labels: new Int32Array(slot.labels) };
}

const SIZE = { height: 32, width: 32 };
const trainImage = (index: number) => {
  if (dataset.train.kind !== 'cifar10') throw new Error('records expected');
  return readRecord(dataset.train, index, new Uint8Array(3072)).image;
};

test('an example is written at its position, with its label, beside what is there', async () => {
  const { decoder, pixels, labels } = decoderWithBatchBuffers(32);
  pixels.fill(9);
  const views = Uint32Array.of(4);
  await decoder.decode({ buffer: 0, first: 1, split: 'train', views, crops: 1, epoch: null });
  assert.ok(pixels.subarray(0, 3072).every((value) => value === 9));
  assert.deepEqual([...pixels.subarray(3072)], [...trainImage(4).pixels]);
  assert.deepEqual([...labels], [0, 4]);
});

test('with padding a training image is cropped and mirrored at its own size, then resized', async () => {
  const { decoder, pixels } = decoderWithBatchBuffers(48);
  const views = Uint32Array.of(2, 3);
  await decoder.decode({ buffer: 0, first: 0, split: 'train', views, crops: 1, epoch: 7 });
  const cropped = new Uint8Array(3072);
  const expected = new Uint8Array(2 * 48 * 48 * 3);
  const resizer = new BilinearResizer(32, 32, 48, 48);
  for (const [position, index] of views.entries()) {
    const drawnAt = { seed: SEED, epoch: 7, index };
    cutInto(trainImage(index), drawWindow(drawnAt, PAD, SIZE, SIZE, true), cropped);
    resizer.resize(cropped, expected.subarray(position * 48 * 48 * 3));
  }
  assert.deepEqual([...pixels], [...expected]);
});

test('a crop of a training image is the window drawn for it, unresized', async () => {
  const { decoder, pixels } = decoderWithBatchBuffers(24, CROP);
  const views = Uint32Array.of(2, 3);
  await decoder.decode({ buffer: 0, first: 0, split: 'train', views, crops: 1, epoch: 7 });
  const input = { height: 24, width: 24 };
  const expected = new Uint8Array(2 * 24 * 24 * 3);
  for (const [position, index] of views.entries()) {
    const window = drawWindow({ seed: SEED, epoch: 7, index }, CROP, SIZE, input, true);
    cutInto(trainImage(index), window, expected.subarray(position * 24 * 24 * 3));
  }
  assert.deepEqual([...pixels], [...expected]);
});

test('the test sees the centre of the image', async () => {
  const { decoder, pixels } = decoderWithBatchBuffers(24, CROP);
  const views = Uint32Array.of(0, 1);
  await decoder.decode({ buffer: 0, first: 0, split: 'train', views, crops: 1, epoch: null });
  const { pixels: whole } = trainImage(1);
  const second = pixels.subarray(24 * 24 * 3);
  for (let row = 0; row < 24; row++) {
    const start = ((row + 4) * 32 + 4) * 3;
    const line = second.subarray(row * 24 * 3, (row + 1) * 24 * 3);
    assert.deepEqual([...line], [...whole.subarray(start, start + 24 * 3)]);
  }
});

test('an image of another size has its shorter side resized before the crop', async () => {
  const { decoder, pixels } = decoderWithBatchBuffers(24, { type: 'crop', from: 40 });
  await decoder.decode({
    ...{ buffer: 0, first: 0, split: 'train', crops: 1, epoch: null },
    views: Uint32Array.of(5),
  });
  const resized = new Uint8Array(40 * 40 * 3);
  new BilinearResizer(32, 32, 40, 40).resize(trainImage(5).pixels, resized);
  const line = resized.subarray((8 * 40 + 8) * 3, (8 * 40 + 32) * 3);
  assert.deepEqual([...pixels.subarray(0, 24 * 3)], [...line]);
});
