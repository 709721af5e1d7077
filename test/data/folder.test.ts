import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openFolder } from '../../src/data/folder.js';
import { dataAt } from '../../src/data/locate.js';
import { pathsOf } from './image_folders.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

/** Creates empty files, which listing does not open. */
function writeFiles(folder: string, names: string[]): string {
  for (const name of names) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), '');
  }
  return folder;
}

test('classes and files are sorted by name, whatever is no image is passed over', async () => {
  const folder = writeFiles(temporaryFolder(), [
    'train/dog/b.PNG',
    'train/dog/a.jpeg',
    'train/dog/notes.txt',
    'train/dog/.hidden.jpg',
    'train/cat/z.tif',
    'train/README',
    'test/cat/1.webp',
    'test/dog/2.gif',
  ]);
  const { classes, train, test } = await openFolder(folder);
  const inFolder = (names: string[]) => names.map((name) => path.join(folder, name));
  assert.deepEqual(classes, ['cat', 'dog']);
  assert.deepEqual(
    pathsOf(train.files),
    inFolder(['train/cat/z.tif', 'train/dog/a.jpeg', 'train/dog/b.PNG']),
  );
  assert.deepEqual([...train.labels], [0, 1, 1]);
  assert.deepEqual(pathsOf(test.files), inFolder(['test/cat/1.webp', 'test/dog/2.gif']));
});

test('val/ stands in for test/', async () => {
  const folder = writeFiles(temporaryFolder(), ['train/a/1.jpg', 'val/a/2.jpg']);
  assert.deepEqual(pathsOf((await openFolder(folder)).test.files), [
    path.join(folder, 'val/a/2.jpg'),
  ]);
});

test('a test split that lacks a class keeps the labels of train', async () => {
  const folder = writeFiles(temporaryFolder(), ['train/a/1.jpg', 'train/b/1.jpg', 'test/b/2.jpg']);
  assert.deepEqual([...(await openFolder(folder)).test.labels], [1]);
});

test('class folders may be symbolic links', async () => {
  const folder = writeFiles(temporaryFolder(), [
    'elsewhere/1.jpg',
    'train/a/1.jpg',
    'test/a/1.jpg',
  ]);
  symlinkSync(path.join(folder, 'elsewhere'), path.join(folder, 'train/b'));
  assert.equal((await openFolder(folder)).train.count, 2);
});

test('a missing train/ is named', async () => {
  const folder = writeFiles(temporaryFolder(), ['test/a/1.jpg']);
  await assert.rejects(openFolder(folder), userError(path.join(folder, 'train'), '--data'));
});

test('a missing test/ is named', async () => {
  const folder = writeFiles(temporaryFolder(), ['train/a/1.jpg']);
  await assert.rejects(openFolder(folder), userError(path.join(folder, 'test'), 'val/CLASS'));
});

test('a split without class folders is named', async () => {
  const folder = writeFiles(temporaryFolder(), ['train/1.jpg', 'test/a/1.jpg']);
  await assert.rejects(openFolder(folder), userError(path.join(folder, 'train'), 'class folders'));
});

test('an empty class folder is named', async () => {
  const folder = writeFiles(temporaryFolder(), ['train/a/1.jpg', 'train/b/x.txt', 'test/a/1.jpg']);
  await assert.rejects(openFolder(folder), userError(path.join(folder, 'train/b'), 'no images'));
});

test('folders that begin with a dot are no classes', async () => {
  const folder = writeFiles(temporaryFolder(), [
    ...['train/a/1.jpg', 'train/b/1.jpg', 'train/.ipynb_checkpoints/1.jpg', 'test/a/1.jpg'],
  ]);
  assert.deepEqual((await openFolder(folder)).classes, ['a', 'b']);
  assert.equal(dataAt(folder).classes, 2);
});

test('a file in place of train/ or val/ is named', async () => {
  for (const name of ['train', 'val']) {
    const folder = writeFiles(temporaryFolder(), ['train/a/1.jpg', 'val/a/1.jpg']);
    rmSync(path.join(folder, name), { recursive: true });
    writeFiles(folder, [name]);
    await assert.rejects(
      openFolder(folder),
      userError(path.join(folder, name), 'must be a folder'),
    );
  }
});

test('a test class that train lacks is named', async () => {
  const folder = writeFiles(temporaryFolder(), ['train/a/1.jpg', 'test/a/1.jpg', 'test/c/1.jpg']);
  await assert.rejects(openFolder(folder), userError(path.join(folder, 'test/c'), 'does not have'));
});
