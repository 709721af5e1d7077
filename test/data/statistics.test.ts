/** The golden numbers are NumPy's: see scripts/golden_statistics.py. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { readRecord } from '../../src/data/cifar10.js';
import {
  type PixelSums,
  addImage,
  addSums,
  emptySums,
  readStatistics,
  statisticsOf,
  statisticsBytes,
} from '../../src/data/statistics.js';
import { computeStatistics } from '../../src/data/compute_statistics.js';
import { identityOf } from '../../src/data/dataset_identity.js';
import { openFolder } from '../../src/data/folder.js';
import { UserError } from '../../src/errors.js';
import { writeBroken, writeImageFolder } from './image_folders.js';
import { recordsDataset } from './records.js';
import { temporaryFolder } from './temporary.js';

interface Golden {
  shape: [number, number, number];
  meanImage: number[];
  mean: number[];
  covariance: number[][];
  eigenvalues: number[];
  eigenvectors: number[][];
}

const golden = JSON.parse(
  readFileSync(new URL('../../../test/golden/statistics.json', import.meta.url), 'utf8'),
) as Golden;
const [count, height, width] = golden.shape;
const imageBytes = height * width * 3;

/** uint8 [height, width, 3] of the images that the script made. */
const images = Array.from({ length: count }, (_, image) => {
  const pixels = Uint8Array.from(
    { length: imageBytes },
    (_, byte) => Math.imul(image * imageBytes + byte, 2654435761) >>> 24,
  );
  for (let at = 0; at < imageBytes; at += 3) {
    pixels[at + 1] = (pixels[at]! + pixels[at + 1]!) >> 1;
    pixels[at + 2] = (pixels[at + 1]! + pixels[at + 2]!) >> 1;
  }
  return pixels;
});

function sumsOf(some: Uint8Array[]): PixelSums {
  const sums = emptySums(height, width);
  some.forEach((pixels) => addImage(sums, pixels));
  return sums;
}

/** Doubles of a few thousand at most, after a handful of operations. */
function closeTo(actual: number[], expected: number[], tolerance = 1e-9): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, at) => {
    assert.ok(Math.abs(value - expected[at]!) <= tolerance, `${value}, not ${expected[at]}`);
  });
}

const statistics = statisticsOf('golden', sumsOf(images));

test("the mean image is NumPy's", () => {
  // float32 of values below 256: half of its step there is 2^-17.
  closeTo([...statistics.meanImage], golden.meanImage, 2 ** -17);
});

test("the mean colour is NumPy's", () => closeTo(statistics.mean, golden.mean));

test("the covariance is NumPy's", () => {
  closeTo(statistics.covariance.flat(), golden.covariance.flat());
});

test("the eigenvalues are NumPy's, the largest first", () => {
  closeTo(statistics.eigenvalues, golden.eigenvalues);
});

test("the eigenvectors are NumPy's, a row each", () => {
  closeTo(statistics.eigenvectors.flat(), golden.eigenvectors.flat());
});

test('sums that two threads gathered give the very same statistics', () => {
  const sums = sumsOf(images.slice(3));
  addSums(sums, sumsOf(images.slice(0, 3)));
  assert.deepEqual(statisticsOf('golden', sums), statistics);
});

test('grey images have one direction of colour, equal in all channels', () => {
  const grey = Uint8Array.from({ length: imageBytes }, (_, byte) => 2 * Math.floor(byte / 3));
  const { eigenvalues, eigenvectors } = statisticsOf('grey', sumsOf([grey]));
  closeTo(
    eigenvectors[0]!,
    [0, 1, 2].map(() => Math.sqrt(1 / 3)),
  );
  closeTo(eigenvalues.slice(1), [0, 0]);
});

const SMALL = { height: 8, width: 8 };

test('a data set is read through without augmentation', async () => {
  const dataset = recordsDataset(6, 1);
  const { train } = dataset;
  if (train.kind !== 'cifar10') throw new Error('records expected');
  const sums = emptySums(32, 32);
  for (let index = 0; index < 6; index++) {
    addImage(sums, readRecord(train, index, new Uint8Array(3072)).image.pixels);
  }
  const computed = await computeStatistics(dataset, { view: { type: 'crop', from: 32 } }, SMALL);
  assert.deepEqual(computed, statisticsOf(identityOf(dataset), sums));
});

test('an image that cannot be decoded is left out', async () => {
  const folder = temporaryFolder();
  await writeImageFolder(folder, 3, 1);
  const { meanImage } = await computeStatistics(
    await openFolder(folder),
    { view: { type: 'resize' } },
    SMALL,
  );
  writeBroken(path.join(folder, 'train/b/999.png'));
  const without = await computeStatistics(
    await openFolder(folder),
    { view: { type: 'resize' } },
    SMALL,
  );
  assert.deepEqual([without.images, without.meanImage], [6, meanImage]);
});

test('images that training stretches are stretched for the statistics, their edges included', async () => {
  const folder = temporaryFolder();
  for (const split of ['train', 'test']) {
    // Black with a white right half: a square cut from the centre would have the same mean, a third none.
    const pixels = new Uint8Array(24 * 8 * 3).map((_, at) =>
      Math.floor(at / 3) % 24 < 16 ? 0 : 255,
    );
    mkdirSync(path.join(folder, split, 'a'), { recursive: true });
    await sharp(pixels, { raw: { width: 24, height: 8, channels: 3 } })
      .png()
      .toFile(path.join(folder, split, 'a', '1.png'));
  }
  const dataset = await openFolder(folder);
  const { mean } = await computeStatistics(dataset, { view: { type: 'resize' } }, SMALL);
  closeTo(mean, [85, 85, 85], 1);
});

test('reading through ends at once with the reason of an abort', async () => {
  const reason = new Error('Ctrl-C');
  const controller = new AbortController();
  const computing = computeStatistics(recordsDataset(200, 1), { view: { type: 'resize' } }, SMALL, {
    onProgress: () => controller.abort(reason),
    signal: controller.signal,
  });
  await assert.rejects(computing, (error) => error === reason);
});

test('what is written is read again', () => {
  const file = path.join(temporaryFolder(), 'statistics.msgpack');
  writeFileSync(file, statisticsBytes(statistics));
  assert.deepEqual(readStatistics(file, 'golden'), statistics);
});

function refused(change: (file: string) => void, dataset: string, message: RegExp): void {
  const file = path.join(temporaryFolder(), 'statistics.msgpack');
  writeFileSync(file, statisticsBytes(statistics));
  change(file);
  assert.throws(
    () => readStatistics(file, dataset),
    (error) => error instanceof UserError && message.test(error.message),
  );
}

test('the statistics of another data set are refused', () => {
  refused(() => {}, 'another', /statistics\.msgpack holds the statistics of another data set/);
});

test('a file that was cut short is refused', () => {
  refused((file) => truncateSync(file, 100), 'golden', /statistics\.msgpack cannot be read/);
});

test('a file of something else is refused', () => {
  refused((file) => writeFileSync(file, '\x01'), 'golden', /statistics\.msgpack is damaged/);
});
