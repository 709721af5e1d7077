/** Batches whose views are left to a GPU, against those that decoders cut and resize. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { ImageView } from '../../src/configuration.js';
import { imageIn, sizeOfImages } from '../../src/data/batch_memory.js';
import { type Batch, BatchRing } from '../../src/data/batches.js';
import type { Dataset } from '../../src/data/examples.js';
import type { Crops } from '../../src/data/views.js';
import { recordsDataset } from './records.js';

const INPUT = { height: 40, width: 36 };

const rings: BatchRing[] = [];
after(() => Promise.all(rings.map((ring) => ring.close())));

function openRing(dataset: Dataset, view: ImageView, leavesViews: boolean): BatchRing {
  const data = { view, flip: true };
  const pool = { batch: 4, seed: 3, decoders: 1, slots: 2 };
  const ring = new BatchRing({ dataset, data, ...INPUT, ...pool, leavesViews });
  rings.push(ring);
  return ring;
}

const seenIn = (batch: Batch): Uint8Array[] =>
  Array.from({ length: batch.count }, (_, index) => imageIn(batch, index, INPUT));

const CASES: { name: string; view: ImageView; crops: Crops }[] = [
  { name: 'seen whole', view: { type: 'resize' }, crops: 1 },
  { name: 'padded', view: { type: 'pad', pixels: 6 }, crops: 1 },
  { name: 'cropped', view: { type: 'crop', from: 48 }, crops: 10 },
];

for (const { name, view, crops } of CASES) {
  const dataset = recordsDataset(8, 3);

  test(`training images ${name} are seen alike, whoever cuts them`, async () => {
    const place = { epoch: 1, batch: 1 };
    const left = await openRing(dataset, view, true).batchAt(place);
    const cut = await openRing(dataset, view, false).batchAt(place);
    assert.deepEqual(seenIn(left), seenIn(cut));
  });

  test(`test images ${name} are seen alike, whoever cuts them`, async () => {
    const left = openRing(dataset, view, true).test(Infinity, crops);
    const cut = openRing(dataset, view, false).test(Infinity, crops);
    for await (const batch of left) {
      const expected = (await cut.next()).value as Batch;
      assert.deepEqual(seenIn(batch), seenIn(expected));
      batch.release();
      expected.release();
    }
  });
}

test('a batch whose views are left has the images as they are in the data set', async () => {
  const batch = await openRing(recordsDataset(8, 3), { type: 'resize' }, true).batchAt({
    epoch: 0,
    batch: 0,
  });
  assert.equal(batch.pixels.byteLength, 4 * 32 * 32 * 3);
});

test('images are of one size only if both splits say so', () => {
  const dataset = recordsDataset(8, 3);
  const mixed: Dataset = { ...dataset, test: { ...dataset.test, kind: 'random' } as never };
  assert.deepEqual(sizeOfImages(dataset, { type: 'resize' }, INPUT), { height: 32, width: 32 });
  assert.equal(sizeOfImages(mixed, { type: 'resize' }, INPUT), null);
});
