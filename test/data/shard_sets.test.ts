/** Data sets in tars and Parquet files. Each example's image is red of its number times 10, so that it is known again. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { parquetWriteFile } from 'hyparquet-writer';
import sharp from 'sharp';
import * as tar from 'tar';
import type { DataConfiguration } from '../../src/configuration.js';
import { BatchRing } from '../../src/data/batches.js';
import { openDataset } from '../../src/data/dataset.js';
import type { Dataset } from '../../src/data/examples.js';
import { dataAt } from '../../src/data/locate.js';
import { prepareDataset } from '../../src/data/prepare.js';
import { openPrepared } from '../../src/data/prepared.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

const images = await Promise.all(
  Array.from({ length: 12 }, (_, index) =>
    sharp({
      create: { width: 8, height: 8, channels: 3, background: { r: index * 10, g: 0, b: 0 } },
    })
      .png()
      .toBuffer(),
  ),
);

const VIEW = { view: { type: 'resize' }, flip: false } as const;

async function openAt(place: string, settings: Partial<DataConfiguration> = {}): Promise<Dataset> {
  const data = { ...dataAt(place), ...settings } as DataConfiguration;
  return openDataset(data);
}

/** `red/10 label` of each example, in the order of training batches or of the test. */
async function seenIn(dataset: Dataset, split: 'train' | 'test'): Promise<string[]> {
  const ring = new BatchRing({
    ...{ dataset, data: VIEW, height: 8, width: 8, batch: 2, seed: 1, decoders: 2, slots: 2 },
  });
  try {
    const seen: string[] = [];
    for await (const batch of split === 'test' ? ring.test() : ring.sample('train')) {
      const pixels = new Uint8Array(batch.pixels);
      for (let at = 0; at < batch.count; at++) {
        seen.push(`${pixels[at * 192]! / 10} ${new Int32Array(batch.labels)[at]}`);
      }
      batch.release();
    }
    return seen;
  } finally {
    await ring.close();
  }
}

/** A tar of these files, in this order. */
function writeTar(file: string, files: [name: string, content: Uint8Array | string][]): void {
  const folder = temporaryFolder();
  for (const [name, content] of files) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  }
  mkdirSync(path.dirname(file), { recursive: true });
  tar.c(
    { file, cwd: folder, sync: true, noPax: true },
    files.map(([name]) => name),
  );
}

/** Two WebDataset shards of three training images each and one of three for validation. */
function writeWebDataset(folder: string, label: (index: number) => string | object): string {
  for (const [shard, first] of [
    ['data-train-000.tar', 0],
    ['data-train-001.tar', 3],
    ['data-val-000.tar', 6],
  ] as const) {
    const files = [0, 1, 2].flatMap((at): [string, Uint8Array | string][] => {
      const index = first + at;
      const value = label(index);
      const text = typeof value === 'string' ? value : JSON.stringify(value);
      const ending = typeof value === 'string' ? 'cls' : 'json';
      return [
        [`00${index}.png`, images[index]!],
        [`00${index}.${ending}`, text],
      ];
    });
    writeTar(path.join(folder, shard), files);
  }
  return folder;
}

suite('WebDataset shards', () => {
  test('with numbers of classes are read in place', async () => {
    const dataset = await openAt(writeWebDataset(temporaryFolder(), (index) => `${index % 3}\n`));
    assert.deepEqual(dataset.classes, ['0', '1', '2']);
    assert.deepEqual((await seenIn(dataset, 'train')).sort(), [
      '0 0',
      '1 1',
      '2 2',
      '3 0',
      '4 1',
      '5 2',
    ]);
    assert.deepEqual(await seenIn(dataset, 'test'), ['6 0', '7 1', '8 2']);
  });

  test('with names of classes have those, sorted', async () => {
    const names = ['dog', 'cat', 'cow'];
    const dataset = await openAt(writeWebDataset(temporaryFolder(), (index) => names[index % 3]!));
    assert.deepEqual(dataset.classes, ['cat', 'cow', 'dog']);
    assert.deepEqual(await seenIn(dataset, 'test'), ['6 2', '7 0', '8 1']);
  });

  test('with labels in JSON are read', async () => {
    const folder = writeWebDataset(temporaryFolder(), (index) => ({ label: index % 2 }));
    assert.deepEqual(await seenIn(await openAt(folder), 'test'), ['6 0', '7 1', '8 0']);
  });

  test('are called as classes.txt beside them says', async () => {
    const folder = writeWebDataset(temporaryFolder(), (index) => `${index % 2}`);
    writeFileSync(path.join(folder, 'classes.txt'), 'cat\ndog\n');
    assert.deepEqual((await openAt(folder)).classes, ['cat', 'dog']);
  });

  test('without a validation set are divided where a share is given', async () => {
    const folder = temporaryFolder();
    const files = [0, 1, 2, 3].flatMap((at): [string, Uint8Array | string][] => [
      [`00${at}.png`, images[at]!],
      [`00${at}.cls`, `${at % 2}`],
    ]);
    writeTar(path.join(folder, '000.tar'), files);
    await assert.rejects(openAt(folder), userError('no labelled test set', '--split 0.8'));
    const { train, test } = await openAt(folder, { split: 0.5 });
    assert.deepEqual([train.count, test.count], [2, 2]);
  });

  test('that are compressed are refused, with what to do', async () => {
    const folder = writeWebDataset(temporaryFolder(), () => '0');
    const shard = path.join(folder, 'data-train-000.tar');
    writeFileSync(shard, gzipSync(readFileSync(shard)));
    await assert.rejects(openAt(folder), userError(shard, 'compressed', 'gunzip'));
  });

  test('that are cut short are refused', async () => {
    const folder = writeWebDataset(temporaryFolder(), () => '0');
    const shard = path.join(folder, 'data-train-001.tar');
    truncateSync(shard, 1300);
    await assert.rejects(openAt(folder), userError(shard, 'cut short'));
  });

  test('that are no tars are refused', async () => {
    const folder = writeWebDataset(temporaryFolder(), () => '0');
    const shard = path.join(folder, 'data-train-001.tar');
    writeFileSync(shard, Buffer.alloc(1024, 'x'));
    await assert.rejects(openAt(folder), userError(shard, 'no tar'));
  });

  test('of images without labels are refused', async () => {
    const folder = temporaryFolder();
    writeTar(path.join(folder, 'train.tar'), [['1.png', images[0]!]]);
    await assert.rejects(openAt(folder), userError('without labels', 'KEY.cls'));
  });

  test('are prepared as an image folder is', async () => {
    const folder = writeWebDataset(temporaryFolder(), (index) => `${index % 3}`);
    const destination = path.join(temporaryFolder(), 'prepared');
    await prepareDataset({ source: folder, destination, undecodableLimit: 0, threads: 1 });
    const { classes, train, test } = await openPrepared(destination);
    assert.deepEqual([classes, train.count, [...test.labels]], [['0', '1', '2'], 6, [0, 1, 2]]);
  });
});

suite("other tars of ImageNet's kind", () => {
  test('with a folder per class have the folders as classes', async () => {
    const folder = temporaryFolder();
    const filesOf = (first: number) =>
      ['n01', 'n02'].map((name, at): [string, Uint8Array] => [
        `${name}/${first}.png`,
        images[first + at]!,
      ]);
    writeTar(path.join(folder, 'train.tar'), filesOf(0));
    writeTar(path.join(folder, 'val.tar'), filesOf(2));
    const dataset = await openAt(folder);
    assert.deepEqual(dataset.classes, ['n01', 'n02']);
    assert.deepEqual(await seenIn(dataset, 'test'), ['2 0', '3 1']);
  });

  test("ImageNet's tar of a tar per class is read in place, its validation images by a list", async () => {
    const folder = temporaryFolder();
    const inner = temporaryFolder();
    for (const [at, wnid] of ['n01440764', 'n02119789'].entries()) {
      writeTar(path.join(inner, `${wnid}.tar`), [[`${wnid}_1.JPEG`, images[at]!]]);
    }
    const inners = ['n01440764.tar', 'n02119789.tar'];
    tar.c({ file: path.join(folder, 'ILSVRC2012_img_train.tar'), cwd: inner, sync: true }, inners);
    writeTar(path.join(folder, 'ILSVRC2012_img_val.tar'), [
      ['ILSVRC2012_val_2.JPEG', images[3]!],
      ['ILSVRC2012_val_1.JPEG', images[2]!],
    ]);
    writeFileSync(
      path.join(folder, 'val.txt'),
      'ILSVRC2012_val_1.JPEG 1\nILSVRC2012_val_2.JPEG 0\n',
    );
    const dataset = await openAt(folder);
    assert.deepEqual(dataset.classes, ['n01440764', 'n02119789']);
    assert.deepEqual((await seenIn(dataset, 'train')).sort(), ['0 0', '1 1']);
    assert.deepEqual(await seenIn(dataset, 'test'), ['3 0', '2 1']);
  });
});

/** Rows of `{bytes, path}` and a number, in groups of two, as data sets are published. */
function writeParquet(file: string, first: number, labels: number[], names?: string[]): void {
  mkdirSync(path.dirname(file), { recursive: true });
  const label = names === undefined ? {} : { names };
  const info = JSON.stringify({ info: { features: { label } } });
  parquetWriteFile({
    filename: file,
    rowGroupSize: 2,
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'image', num_children: 2, repetition_type: 'OPTIONAL' },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'label', type: 'INT64', repetition_type: 'OPTIONAL' },
    ],
    columnData: [
      {
        name: 'image',
        data: labels.map((_, at) => ({
          bytes: new Uint8Array(images[first + at]!),
          path: `${at}.png`,
        })),
      },
      { name: 'label', data: labels.map(BigInt) },
    ],
    kvMetadata: [{ key: 'huggingface', value: info }],
  });
}

suite('Parquet files', () => {
  test('with images as structures are read, with the names of their metadata', async () => {
    const folder = temporaryFolder();
    writeParquet(
      path.join(folder, 'data/train-00000-of-00002.parquet'),
      0,
      [1, 0, 1],
      ['cat', 'dog'],
    );
    writeParquet(path.join(folder, 'data/train-00001-of-00002.parquet'), 3, [0, 1], ['cat', 'dog']);
    writeParquet(path.join(folder, 'data/validation-00000-of-00001.parquet'), 5, [1, 0, 0]);
    const dataset = await openAt(folder);
    assert.deepEqual(dataset.classes, ['cat', 'dog']);
    assert.deepEqual((await seenIn(dataset, 'train')).sort(), ['0 1', '1 0', '2 1', '3 0', '4 1']);
    assert.deepEqual(await seenIn(dataset, 'test'), ['5 1', '6 0', '7 0']);
  });

  test('of a test set without labels are left out, and that is said', async () => {
    const folder = temporaryFolder();
    writeParquet(path.join(folder, 'train.parquet'), 0, [1, 0]);
    writeParquet(path.join(folder, 'validation.parquet'), 2, [1, 0]);
    writeParquet(path.join(folder, 'test.parquet'), 4, [-1, -1]);
    const { test, notices } = await openAt(folder);
    assert.equal(test.count, 2);
    assert.match(notices!.join(), /test\.parquet has no labels and is left out/);
  });

  test('with images as bytes and labels as names are read', async () => {
    const folder = temporaryFolder();
    for (const [split, first] of [
      ['train', 0],
      ['test', 3],
    ] as const) {
      parquetWriteFile({
        filename: path.join(folder, `${split}.parquet`),
        columnData: [
          {
            name: 'img',
            type: 'BYTE_ARRAY',
            data: [0, 1, 2].map((at) => new Uint8Array(images[first + at]!)),
          },
          { name: 'label', type: 'STRING', data: ['dog', 'cat', 'dog'] },
        ],
      });
    }
    const dataset = await openAt(folder);
    assert.deepEqual(dataset.classes, ['cat', 'dog']);
    assert.deepEqual(await seenIn(dataset, 'test'), ['3 1', '4 0', '5 1']);
  });

  test('are prepared as an image folder is', async () => {
    const folder = temporaryFolder();
    writeParquet(path.join(folder, 'train.parquet'), 0, [1, 0, 1, 0]);
    writeParquet(path.join(folder, 'test.parquet'), 4, [1, 0]);
    const destination = path.join(temporaryFolder(), 'prepared');
    await prepareDataset({ source: folder, destination, undecodableLimit: 0, threads: 1 });
    const { train, test } = await openPrepared(destination);
    assert.deepEqual([train.count, [...test.labels]], [4, [1, 0]]);
  });

  test('that are damaged are refused by name', async () => {
    const folder = temporaryFolder();
    writeFileSync(path.join(folder, 'train.parquet'), 'PAR1 and nothing else');
    await assert.rejects(
      openAt(folder),
      userError('train.parquet cannot be read', 'fetch it again'),
    );
  });

  test('without a column of images are refused, naming their columns', async () => {
    const folder = temporaryFolder();
    parquetWriteFile({
      filename: path.join(folder, 'train.parquet'),
      columnData: [{ name: 'text', type: 'STRING', data: ['a'] }],
    });
    await assert.rejects(openAt(folder), userError('its columns text have no image'));
  });
});

test('an archive beside the folders that it was unpacked to is not read', () => {
  const folder = temporaryFolder();
  for (const name of ['train/a/1.png', 'train/b/1.png', 'val/a/1.png']) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), images[0]!);
  }
  writeTar(path.join(folder, 'images.tar'), [['1.png', images[0]!]]);
  assert.equal(dataAt(folder).source, 'folder');
});
