/** `meta.mat` was written by SciPy: see scripts/golden_devkit.py. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openFolder } from '../../src/data/folder.js';
import { UserError } from '../../src/errors.js';
import { temporaryFolder } from './temporary.js';

const META = fileURLToPath(new URL('../../../test/golden/meta.mat', import.meta.url));
const WNIDS = ['n01440764', 'n02100735', 'n02119789'];

/** Three classes of one empty file each, a flat `val/` with `images` files, and the files given. */
function imagenet(files: Record<string, string>, images = 4): string {
  const folder = temporaryFolder();
  const write = (name: string, text: string) => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  };
  WNIDS.forEach((wnid) => write(`train/${wnid}/${wnid}_1.JPEG`, ''));
  for (let image = 1; image <= images; image++) write(`val/ILSVRC2012_val_${image}.JPEG`, '');
  Object.entries(files).forEach(([name, text]) => write(name, text));
  return folder;
}

const DEVKIT = 'ILSVRC2012_devkit_t12/data';
const TRUTH = `${DEVKIT}/ILSVRC2012_validation_ground_truth.txt`;

function withDevkit(groundTruth: string): string {
  const folder = imagenet({ [TRUTH]: groundTruth });
  copyFileSync(META, path.join(folder, DEVKIT, 'meta.mat'));
  return folder;
}

const labelsIn = async (folder: string) => [...(await openFolder(folder)).test.labels];

async function refuses(folder: string, message: RegExp): Promise<void> {
  await assert.rejects(openFolder(folder), (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

test("the devkit's numbers become labels by way of meta.mat, not by their order", async () => {
  assert.deepEqual(await labelsIn(withDevkit('3\n1\n2\n1\n')), [0, 2, 1, 2]);
});

test("classes are called as the devkit's meta.mat says", async () => {
  const { classes } = await openFolder(withDevkit('1\n1\n1\n1\n'));
  assert.deepEqual(classes, ['tench, Tinca tinca', 'English setter', 'kit fox, Vulpes macrotis']);
});

test('classes are called as LOC_synset_mapping.txt says', async () => {
  const mapping = 'n01440764 tench\nn02100735 English setter\nn02119789 kit fox\n';
  const folder = imagenet({ 'LOC_synset_mapping.txt': mapping, 'val.txt': lines([0, 0, 0, 0]) });
  assert.deepEqual((await openFolder(folder)).classes, ['tench', 'English setter', 'kit fox']);
});

const lines = (labels: unknown[]) =>
  labels.map((label, image) => `ILSVRC2012_val_${image + 1}.JPEG ${String(label)}\n`).join('');

test('lines of names and numbers label the images, from 0', async () => {
  assert.deepEqual(await labelsIn(imagenet({ 'val.txt': lines([2, 0, 1, 2]) })), [2, 0, 1, 2]);
});

test('lines of names and class folders label the images, in any order', async () => {
  const text = lines(['n02119789', 'n02100735', 'n01440764', 'n01440764']);
  const reversed = text.trim().split('\n').reverse().join('\n');
  assert.deepEqual(await labelsIn(imagenet({ 'val.txt': reversed })), [2, 1, 0, 0]);
});

test("Kaggle's list of boxes labels the images", async () => {
  const rows = [1, 2, 3, 4].map((image) => `ILSVRC2012_val_${image},${WNIDS[image % 3]} 8 1 49 27`);
  const folder = imagenet({
    'LOC_val_solution.csv': ['ImageId,PredictionString', ...rows].join('\n'),
  });
  assert.deepEqual(await labelsIn(folder), [1, 2, 0, 1]);
});

test('val/ with class folders needs no labels file', async () => {
  const folder = imagenet({ 'val/n02100735/a.JPEG': '' }, 0);
  assert.deepEqual(await labelsIn(folder), [1]);
});

test("ImageNet's own test/, which has no labels, is passed over", async () => {
  const folder = imagenet({ 'test/ILSVRC2012_test_1.JPEG': '', 'val.txt': lines([2, 0, 1, 2]) });
  assert.equal((await openFolder(folder)).test.count, 4);
});

test('a ground truth of the wrong length is refused', async () => {
  await refuses(withDevkit('1\n2\n3\n'), /ground_truth\.txt has 3 labels, but there are 4 valid/);
});

test('a list of the wrong length is refused', async () => {
  await refuses(
    imagenet({ 'val.txt': lines([0, 1, 2]) }),
    /val\.txt has 3 labels, but there are 4/,
  );
});

test('a ground truth without meta.mat is refused', async () => {
  await refuses(imagenet({ [TRUTH]: '1\n1\n1\n1\n' }), /meta\.mat is missing/);
});

test('a damaged meta.mat is named', async () => {
  const folder = imagenet({ [TRUTH]: '1\n1\n1\n1\n', [`${DEVKIT}/meta.mat`]: 'no such thing' });
  await refuses(folder, /meta\.mat cannot be read/);
});

test('a number of no class is refused with its line', async () => {
  await refuses(withDevkit('1\n1\n9\n1\n'), /ground_truth\.txt, line 3: class 9 has no folder/);
});

test('a listed label of no class is refused with its line', async () => {
  const folder = imagenet({ 'val.txt': lines([0, 1, 3, 1]) });
  await refuses(
    folder,
    /val\.txt, line 3: "3" is neither a class folder's name nor a number from 0 to 2/,
  );
});

test('an image that the list lacks is named', async () => {
  const folder = imagenet({ 'val.txt': lines([0, 1, 2, 1]).replace('val_2', 'val_7') });
  await refuses(folder, /val\.txt has no line for ILSVRC2012_val_2\.JPEG/);
});

test('a flat val/ without any labels file is refused with what to add', async () => {
  await refuses(imagenet({}), /val has images but no class folders: .*val\.txt/);
});

test('no validation set is named with where to put it', async () => {
  await refuses(imagenet({}, 0), /has no validation set: put images into .*test\/CLASS\//);
});

test('an image that is listed twice is named', async () => {
  const twice = lines([0, 1, 2, 0]).replace('val_2.JPEG', 'val_1.png');
  await refuses(imagenet({ 'val.txt': twice }), /val\.txt has more than one line for \S*val_1: /);
});

test('a list that cannot be read is named', async () => {
  const folder = imagenet({ 'val.txt/not a file': '' });
  await refuses(folder, /cannot read .*val\.txt: EISDIR/);
});
