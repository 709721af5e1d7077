import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cropInto, drawCrop } from '../../src/data/augmentation.js';
import { readRecord } from '../../src/data/cifar10.js';
import { Decoder, type Slot } from '../../src/data/decoder.js';
import { BilinearResizer } from '../../src/data/resize.js';
import { recordsDataset } from './records.js';

const SEED = 5;
const dataset = recordsDataset(6, 3);

function decoderWithSlot(side: number) {
  const slot: Slot = {
    pixels: new SharedArrayBuffer(2 * side * side * 3),
    labels: new SharedArrayBuffer(2 * 4),
  };
  const decoder = new Decoder({
    dataset,
    data: { cropPad: 4, flip: true },
    height: side,
    width: side,
    seed: SEED,
    slots: [slot],
  });
  return { decoder, pixels: new Uint8Array(slot.pixels), labels: new Int32Array(slot.labels) };
}

const trainImage = (index: number) => {
  if (dataset.train.kind !== 'cifar10') throw new Error('records expected');
  return readRecord(dataset.train, index, new Uint8Array(3072)).image;
};

test('an example is written at its position, with its label, beside what is there', async () => {
  const { decoder, pixels, labels } = decoderWithSlot(32);
  pixels.fill(9);
  const examples = Uint32Array.of(4);
  await decoder.decode({ slot: 0, first: 1, split: 'train', examples, epoch: null });
  assert.ok(pixels.subarray(0, 3072).every((value) => value === 9));
  assert.deepEqual([...pixels.subarray(3072)], [...trainImage(4).pixels]);
  assert.deepEqual([...labels], [0, 4]);
});

test('a training image is cropped and mirrored at its own size, then resized', async () => {
  const { decoder, pixels } = decoderWithSlot(48);
  const examples = Uint32Array.of(2, 3);
  await decoder.decode({ slot: 0, first: 0, split: 'train', examples, epoch: 7 });
  const cropped = new Uint8Array(3072);
  const expected = new Uint8Array(2 * 48 * 48 * 3);
  const resizer = new BilinearResizer(32, 32, 48, 48);
  for (const [position, index] of examples.entries()) {
    cropInto(trainImage(index), drawCrop(SEED, 7, index, 4, true), cropped);
    resizer.resize(cropped, expected.subarray(position * 48 * 48 * 3));
  }
  assert.deepEqual([...pixels], [...expected]);
});
