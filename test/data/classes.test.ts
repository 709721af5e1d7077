import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { BatchRing } from '../../src/data/batches.js';
import { withClasses } from '../../src/data/classes.js';
import { recordsDataset } from './records.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

const dataOf = (classes: string[]) => ({ ...recordsDataset(4, 4), classes });

function fileWith(text: string): string {
  const file = path.join(temporaryFolder(), 'classes.txt');
  writeFileSync(file, text);
  return file;
}

test('the same classes in the same order are left as they are', () => {
  const dataset = dataOf(['cat', 'dog']);
  assert.deepEqual(withClasses(dataset, ['cat', 'dog']), dataset);
});

test('classes in another order get the labels of the run, in what the network is given', async () => {
  const dataset = withClasses(dataOf(['0', '1', '2', '3']), ['3', '0', '1', '2']);
  const ring = new BatchRing({
    dataset,
    data: { view: { type: 'resize' }, flip: false },
    height: 8,
    width: 8,
    batch: 4,
    seed: 0,
    decoders: 1,
    slots: 1,
  });
  for await (const batch of ring.test()) {
    assert.deepEqual([...new Int32Array(batch.labels)], [1, 2, 3, 0]);
    batch.release();
  }
  await ring.close();
});

test('names with accents composed in another way are the same', () => {
  const { relabelled } = withClasses(dataOf(['café'.normalize('NFD')]), ['café'.normalize('NFC')]);
  assert.equal(relabelled, undefined);
});

test('a renamed class is refused, with what only the data and only the run has', () => {
  assert.throws(
    () => withClasses(dataOf(['cat', 'cow']), ['cat', 'dog']),
    userError('only the data has cow', 'only the run has dog', '--classes FILE'),
  );
});

test('a class that the data lacks is refused', () => {
  assert.throws(
    () => withClasses(dataOf(['cat']), ['cat', 'dog']),
    userError('only the run has dog'),
  );
});

test('a class that the run lacks is refused', () => {
  assert.throws(
    () => withClasses(dataOf(['cat', 'cow']), ['cat']),
    userError('only the data has cow'),
  );
});

test('of many classes a few are named', () => {
  const many = Array.from({ length: 12 }, (_, at) => String(at));
  assert.throws(
    () =>
      withClasses(
        dataOf(many),
        many.map((name) => `c${name}`),
      ),
    userError('only the data has 0, 1, 2 … (12)', 'only the run has c0, c1, c2 … (12)'),
  );
});

test('a file maps names of the data to those of the run', () => {
  const file = fileWith('1,cat\n0,dog\n');
  assert.deepEqual(withClasses(dataOf(['0', '1']), ['cat', 'dog'], file).relabelled, [1, 0]);
});

test('a file may map two classes to one, and leave classes of the run without data', () => {
  const file = fileWith('tabby\tcat\nsiamese cat\tcat\n');
  const dataset = withClasses(dataOf(['siamese cat', 'tabby']), ['cat', 'dog'], file);
  assert.deepEqual(
    [dataset.relabelled, dataset.classes],
    [
      [0, 0],
      ['cat', 'dog'],
    ],
  );
});

test('a line of a file that is no pair is named', () => {
  const file = fileWith('tabby,cat\nsiamese\n');
  assert.throws(
    () => withClasses(dataOf(['tabby']), ['cat'], file),
    userError('classes.txt, line 2'),
  );
});
