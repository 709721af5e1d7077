import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { Batch } from '../../src/data/batches.js';
import type { Coordinator } from '../../src/parallel/coordinator.js';
import { inspectImages, nearestImages } from '../../src/training/inspection.js';

/** A coordinator whose features of an image of one pixel are its first byte, with logits 0 and that byte. */
const coordinator = {
  network: { input: { height: 1, width: 1, channels: 3 } },
  inspect: ({ pixels, count }: Batch) => {
    const first = Array.from({ length: count }, (_, index) => new Uint8Array(pixels)[3 * index]!);
    return Promise.resolve({
      logits: Float32Array.from(first.flatMap((byte) => [0, byte])),
      features: Float32Array.from(first),
    });
  },
} as unknown as Coordinator;

/** Images whose bytes are all `values`, in batches of two, labelled by their position. */
function batchesOf(values: number[]): AsyncIterable<Batch> {
  return Readable.from(batchesIn(values));
}

function* batchesIn(values: number[]): Generator<Batch> {
  for (let begin = 0; begin < values.length; begin += 2) {
    const held = values.slice(begin, begin + 2);
    const pixels = new SharedArrayBuffer(held.length * 3);
    new Uint8Array(pixels).set(held.flatMap((value) => [value, value, value]));
    const labels = new SharedArrayBuffer(held.length * 4);
    new Int32Array(labels).set(held.map((_, index) => begin + index));
    const count = held.length;
    const ofRing = { serial: 0, next: () => undefined, release: () => {} };
    yield { pixels, labels, count, first: 0, of: count, index: begin / 2, ...ofRing };
  }
}

test('an image’s probabilities are the softmax of its own logits', async () => {
  const images = await inspectImages(coordinator, batchesOf([0, 1, 2]), 3);
  const expected = [0, 1, 2].map((logit) => Math.exp(logit) / (1 + Math.exp(logit)));
  images.forEach(({ probabilities }, index) => {
    assert.ok(Math.abs(probabilities[1]! - expected[index]!) < 1e-12);
  });
});

test('only as many images are taken as asked for', async () => {
  assert.equal((await inspectImages(coordinator, batchesOf([1, 2, 3, 4]), 3)).length, 3);
});

test('the picture of an image is what the network sees of it, though a GPU cuts it', async () => {
  const [batch] = batchesIn([10, 20]);
  const windows = new SharedArrayBuffer(20);
  new Int32Array(windows).set([0, 1, 1, 1, 0]);
  const size = { height: 1, width: 2 };
  const views = { windows, source: size, cutFrom: 'resized', resized: size } as const;
  const batches = Readable.from([{ ...batch!, count: 1, views }]);
  const [image] = await inspectImages(coordinator, batches, 1);
  assert.deepEqual([...image!.picture.pixels], [20, 20, 20]);
});

test('the nearest images come first and no more than are kept', async () => {
  const queries = await inspectImages(coordinator, batchesOf([10]), 1);
  const { rows } = await nearestImages(
    coordinator,
    batchesOf([50, 12, 9, 30, 10, 200]),
    queries,
    6,
    3,
  );
  assert.deepEqual(
    rows[0]!.nearest.map(({ label, distance }) => [label, distance]),
    [
      [4, 0],
      [2, 1],
      [1, 2],
    ],
  );
});

test('only the images to be searched are', async () => {
  const queries = await inspectImages(coordinator, batchesOf([10]), 1);
  const { rows, searched } = await nearestImages(
    coordinator,
    batchesOf([50, 12, 10]),
    queries,
    2,
    3,
  );
  assert.deepEqual([searched, rows[0]!.nearest.map(({ label }) => label)], [2, [1, 0]]);
});
