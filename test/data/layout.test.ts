/** The layouts in which image folders are published and kept. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import type { DataConfiguration } from '../../src/configuration.js';
import { openDataset } from '../../src/data/dataset.js';
import { type OpenFolder, openFolder } from '../../src/data/folder.js';
import { dataAt } from '../../src/data/locate.js';
import { pathsOf } from './image_folders.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

/** Files of one line, or with the text given. Listing does not open what is called like an image. */
function folderWith(files: (string | [name: string, text: string])[]): string {
  const folder = temporaryFolder();
  for (const file of files) {
    const [name, text] = typeof file === 'string' ? [file, ''] : file;
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  return folder;
}

const namesOf = ({ train, test }: OpenFolder, folder: string) =>
  [train, test].map(({ files }) => pathsOf(files).map((file) => path.relative(folder, file)));

test('tiny-imagenet-200 as it is unpacked', async () => {
  const folder = folderWith([
    'train/n01/images/n01_0.JPEG',
    ['train/n01/n01_boxes.txt', 'n01_0.JPEG\t0\t0\t62\t62\n'],
    'train/n02/images/n02_0.JPEG',
    'val/images/val_0.JPEG',
    'val/images/val_1.JPEG',
    [
      'val/val_annotations.txt',
      'val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn01\t52\t55\t57\t59\n',
    ],
    'test/images/test_0.JPEG',
    ['wnids.txt', 'n02\nn01\n'],
    ['words.txt', 'n01\tgoldfish\nn02\tbullfrog\nn03\tentity\n'],
  ]);
  const open = await openFolder(folder);
  assert.deepEqual(open.classes, ['goldfish', 'bullfrog']);
  assert.deepEqual([...open.test.labels], [1, 0]);
  assert.deepEqual(namesOf(open, folder), [
    ['train/n01/images/n01_0.JPEG', 'train/n02/images/n02_0.JPEG'],
    ['val/images/val_0.JPEG', 'val/images/val_1.JPEG'],
  ]);
  assert.match(open.notices.join('\n'), /test has no labels and is left out/);
});

suite("Kaggle's ImageNet, whose lists lie three levels up", () => {
  const files = (): (string | [string, string])[] => [
    'ILSVRC/Data/CLS-LOC/train/n01/n01_1.JPEG',
    'ILSVRC/Data/CLS-LOC/train/n02/n02_1.JPEG',
    'ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_1.JPEG',
    'ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_2.JPEG',
    'ILSVRC/Data/CLS-LOC/test/ILSVRC2012_test_1.JPEG',
    [
      'LOC_val_solution.csv',
      'ImageId,PredictionString\nILSVRC2012_val_1,n02 1 1 2 2 n02 3 3 4 4 \nILSVRC2012_val_2,n01 1 1 2 2 \n',
    ],
    ['LOC_synset_mapping.txt', 'n01 tench, Tinca tinca\nn02 crane\n'],
  ];
  for (const given of ['.', 'ILSVRC', 'ILSVRC/Data/CLS-LOC']) {
    test(`is found from ${given === '.' ? 'the folder of the lists' : given}`, async () => {
      const open = await openFolder(path.join(folderWith(files()), given));
      assert.deepEqual(open.classes, ['tench, Tinca tinca', 'crane']);
      assert.deepEqual([open.train.count, [...open.test.labels]], [2, [1, 0]]);
    });
  }
});

test('classes of one name are told apart by their folders', async () => {
  const folder = folderWith([
    ...['train/n01/1.JPEG', 'train/n02/1.JPEG', 'val/n01/2.JPEG'],
    ['LOC_synset_mapping.txt', 'n01 crane\nn02 crane\n'],
  ]);
  assert.deepEqual((await openFolder(folder)).classes, ['crane (n01)', 'crane (n02)']);
});

suite('a folder without a test set', () => {
  const names = ['cat', 'dog'].flatMap((name) =>
    Array.from({ length: 10 }, (_, index) => `${name}/${index}.png`),
  );

  test('is refused, with the option that divides it', async () => {
    await assert.rejects(openFolder(folderWith(names)), userError('--split 0.8'));
  });

  test('is divided class by class, by the seed', async () => {
    const folder = folderWith([...names, 'README.md']);
    const open = (seed: number) => openFolder(folder, { split: 0.8, seed });
    const { classes, train, test } = await open(1);
    const counts = (set: typeof train) =>
      [0, 1].map((label) => [...set.chosen!].filter((place) => set.labels[place] === label).length);
    assert.deepEqual(
      [classes, counts(train), counts(test)],
      [
        ['cat', 'dog'],
        [8, 8],
        [2, 2],
      ],
    );
    const all = [...train.chosen!, ...test.chosen!].sort((a, b) => a - b);
    assert.deepEqual(all, [...Array(20).keys()]);
    assert.deepEqual([...(await open(1)).test.chosen!], [...test.chosen!]);
    assert.notDeepEqual([...(await open(2)).test.chosen!], [...test.chosen!]);
  });

  test('may have a train folder', async () => {
    const folder = folderWith(names.map((name) => `train/${name}`));
    assert.equal((await openFolder(folder, { split: 0.5 })).test.count, 10);
  });
});

for (const [train, test_] of [
  ['train', 'valid'],
  ['train', 'validation'],
  ['Train', 'Test'],
  ['training', 'testing'],
]) {
  test(`${train} and ${test_} are the two sets`, async () => {
    const folder = folderWith([`${train}/a/1.png`, `${train}/b/1.png`, `${test_}/b/2.png`]);
    const open = await openFolder(folder);
    assert.deepEqual([open.train.count, [...open.test.labels]], [2, [1]]);
  });
}

test('an archive unpacked into a folder of its own is found there', async () => {
  const folder = folderWith(['birds/train/a/1.png', 'birds/train/b/1.png', 'birds/test/a/2.png']);
  assert.equal(dataAt(folder).classes, 2);
  assert.equal((await openFolder(folder)).train.count, 2);
});

test('a test folder without labels beside labelled validation images is left out, and that is said', async () => {
  const folder = folderWith([
    ...[
      'train/a/1.png',
      'train/b/1.png',
      'val/a/2.png',
      'test/unknown/3.png',
      'test/unknown/4.png',
    ],
  ]);
  const { test, validation, notices } = await openFolder(folder);
  assert.deepEqual([test.count, validation], [1, undefined]);
  assert.match(notices.join(), /test has no labels and is left out/);
});

suite('validation images', () => {
  const files = ['train/a/1.png', 'train/a/2.png', 'train/b/1.png', 'train/b/2.png'];
  const open = (folder: string, validation?: number) =>
    openDataset({
      ...dataAt(folder),
      ...(validation !== undefined && { validation }),
    } as DataConfiguration);

  test('are those of val beside test', async () => {
    const folder = folderWith([...files, 'val/a/3.png', 'test/a/4.png', 'test/b/4.png']);
    const { train, validation, test } = await open(folder);
    assert.deepEqual([train.count, validation?.count, test.count], [4, 1, 2]);
  });

  test('are a share of each class of the training images where one is given', async () => {
    const folder = folderWith([...files, 'test/a/4.png']);
    const { train, validation, test } = await open(folder, 0.5);
    assert.deepEqual([train.count, validation?.count, test.count], [2, 2, 1]);
  });

  test('are none where the share is 0: all images train', async () => {
    const folder = folderWith([...files, 'test/a/4.png']);
    const { train, validation } = await open(folder, 0);
    assert.deepEqual([train.count, validation], [4, undefined]);
  });
});
