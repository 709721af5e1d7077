import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { crc32c, EventFile, framed } from '../../src/report/event_file.js';
import { histogramOf } from '../../src/report/histogram.js';
import { checksumBitByBit, readEventFile, recordsOf } from './event_reader.js';

const folder = mkdtempSync(join(tmpdir(), 'twotower-events-'));
after(() => rmSync(folder, { recursive: true }));

suite('the checksum', () => {
  test('is that of the examples in RFC 3720', () => {
    assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
    assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
    assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e);
  });

  test('of any bytes is that of a division bit by bit', () => {
    for (const length of [0, 1, 7, 1000]) {
      const bytes = randomBytes(length);
      assert.equal(crc32c(bytes), checksumBitByBit(bytes), bytes.toString('hex'));
    }
  });
});

test('records come back whole from their framing', () => {
  const records = [0, 1, 300].map((length) => Uint8Array.from(randomBytes(length)));
  const file = Buffer.concat(records.map(framed));
  assert.deepEqual(
    recordsOf(file).map((record) => Uint8Array.from(record)),
    records,
  );
});

test('events come back with their steps and values', () => {
  const file = EventFile.create(folder);
  const values = Float32Array.from({ length: 500 }, () => Math.random() - 0.3);
  const histogram = histogramOf(values);
  file.scalars(7, { 'train/loss': 0.5, 'train/accuracy': 0.25 });
  file.histograms(2 ** 33, new Map([['weights', histogram]]));
  file.image(9, 'kernels', { width: 3, height: 2, png: Uint8Array.of(1, 2, 3) });
  file.close();
  const [version, scalars, histograms, image, ...more] = readEventFile(file.path);
  assert.equal(version!.fileVersion, 'brain.Event:2');
  assert.equal(scalars!.step, 7);
  assert.deepEqual(Object.fromEntries(scalars!.scalars), {
    'train/loss': 0.5,
    'train/accuracy': 0.25,
  });
  assert.ok(Math.abs(scalars!.wallTime * 1000 - Date.now()) < 60_000);
  assert.equal(histograms!.step, 2 ** 33);
  const { min, max, count, sum, sumOfSquares, limits, counts } = histogram;
  assert.deepEqual(histograms!.histograms.get('weights'), {
    min,
    max,
    num: count,
    sum,
    sumSquares: sumOfSquares,
    limits,
    counts,
  });
  assert.deepEqual(image!.images.get('kernels'), {
    width: 3,
    height: 2,
    png: Uint8Array.of(1, 2, 3),
  });
  assert.deepEqual(more, []);
});

test('files made in the same second have names of their own, in order', () => {
  const there = join(folder, 'same second');
  const made = Array.from({ length: 3 }, () => EventFile.create(there));
  made.forEach((file) => file.close());
  assert.equal(readdirSync(there).length, 3);
});
