import assert from 'node:assert/strict';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openCifar10, readRecord } from '../../src/data/cifar10.js';
import { RECORD, randomRecords } from './records.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

/** Five training files of two records (labels 0,1 … 8,9) and three test records. */
function writeDataSet(folder: string): string {
  mkdirSync(folder, { recursive: true });
  for (const number of [1, 2, 3, 4, 5]) {
    const records = randomRecords(`batch ${number}`, [2 * number - 2, 2 * number - 1]);
    writeFileSync(path.join(folder, `data_batch_${number}.bin`), records);
  }
  writeFileSync(path.join(folder, 'test_batch.bin'), randomRecords('test', [7, 8, 9]));
  return folder;
}

test('training files are read one after another, the test file apart', async () => {
  const { train, test } = await openCifar10(writeDataSet(temporaryFolder()));
  const labels = (set: typeof train) =>
    Array.from(
      { length: set.count },
      (_, index) => readRecord(set, index, new Uint8Array(3072)).label,
    );
  assert.deepEqual(labels(train), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(labels(test), [7, 8, 9]);
});

test('the planes of red, green and blue become pixels', async () => {
  const { train } = await openCifar10(writeDataSet(temporaryFolder()));
  const record = randomRecords('batch 2', [2, 3]).subarray(RECORD);
  const { image } = readRecord(train, 3, new Uint8Array(3072));
  for (let pixel = 0; pixel < 1024; pixel++) {
    assert.deepEqual(
      [...image.pixels.subarray(pixel * 3, pixel * 3 + 3)],
      [record[1 + pixel], record[1025 + pixel], record[2049 + pixel]],
    );
  }
});

test("the archive's own folder is found inside the directory", async () => {
  const folder = temporaryFolder();
  writeDataSet(path.join(folder, 'cifar-10-batches-bin'));
  assert.equal((await openCifar10(folder)).train.count, 10);
});

test('class names are those of batches.meta.txt', async () => {
  const folder = writeDataSet(temporaryFolder());
  const names = [...'abcdefghij'];
  writeFileSync(path.join(folder, 'batches.meta.txt'), names.join('\n') + '\n\n');
  assert.deepEqual((await openCifar10(folder)).classes, names);
});

test("without batches.meta.txt the classes are CIFAR-10's", async () => {
  const { classes } = await openCifar10(writeDataSet(temporaryFolder()));
  assert.deepEqual([classes.length, classes[0], classes[9]], [10, 'airplane', 'truck']);
});

test('a missing file is named', async () => {
  const folder = writeDataSet(temporaryFolder());
  rmSync(path.join(folder, 'data_batch_4.bin'));
  await assert.rejects(openCifar10(folder), userError('data_batch_4.bin', 'missing', '--data'));
});

for (const bytes of [0, RECORD - 1, RECORD + 500]) {
  test(`a file of ${bytes} bytes is truncated`, async () => {
    const folder = writeDataSet(temporaryFolder());
    truncateSync(path.join(folder, 'test_batch.bin'), bytes);
    await assert.rejects(openCifar10(folder), userError('test_batch.bin', 'truncated', `${bytes}`));
  });
}

test('a label out of range is named with its file and record', async () => {
  const folder = writeDataSet(temporaryFolder());
  writeFileSync(path.join(folder, 'data_batch_3.bin'), randomRecords('bad', [4, 10]));
  await assert.rejects(
    openCifar10(folder),
    userError('data_batch_3.bin', 'record 1', 'label 10', '10 classes'),
  );
});
