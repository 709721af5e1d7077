/** CIFAR as it is published: binary and Python, ten and a hundred classes, unpacked and as an archive. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import * as tar from 'tar';
import { type Cifar10Set, readRecord } from '../../src/data/cifar10.js';
import { type CifarLabels, cifarAt, openCifar } from '../../src/data/cifar_versions.js';
import { dataAt } from '../../src/data/locate.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

const PLANES = 3072;
/** The planes of image n are all n. */
const planes = (image: number) => Buffer.alloc(PLANES, image);
const names = (count: number, word: string) =>
  Array.from({ length: count }, (_, at) => `${word}${at}`);

/** What Python 2's pickle writes at protocol 2 for the values of these files. */
function pickle(value: unknown): Buffer {
  const text = (given: string) =>
    Buffer.concat([Buffer.from([0x54, ...uint32(given.length)]), Buffer.from(given, 'latin1')]);
  const write = (given: unknown): Buffer => {
    if (typeof given === 'string') return text(given);
    if (typeof given === 'number') return Buffer.from([0x4b, given]);
    if (Array.isArray(given)) {
      return Buffer.concat([
        Buffer.from(']q\x01(', 'latin1'),
        ...given.map(write),
        Buffer.from('e'),
      ]);
    }
    if (given instanceof Uint8Array) return array(given);
    const items = Object.entries(given as object).flatMap(([key, item]) => [
      text(key),
      write(item),
    ]);
    return Buffer.concat([Buffer.from('}q\x02(', 'latin1'), ...items, Buffer.from('u')]);
  };
  const array = (bytes: Uint8Array) =>
    Buffer.concat([
      Buffer.from(
        'cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87R',
        'latin1',
      ),
      Buffer.from(
        `(K\x01K${String.fromCharCode(bytes.length / PLANES)}M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R`,
        'latin1',
      ),
      Buffer.from('(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89', 'latin1'),
      text(Buffer.from(bytes).toString('latin1')),
      Buffer.from('tb', 'latin1'),
    ]);
  return Buffer.concat([Buffer.from('\x80\x02', 'latin1'), write(value), Buffer.from('.')]);
}

function uint32(value: number): number[] {
  return [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
}

/** Two images per training file, three for the test; image numbers count on. */
const VERSIONS: Record<string, () => Record<string, Buffer | string>> = {
  'cifar-10-batches-bin': () => ({
    ...Object.fromEntries(
      [1, 2, 3, 4, 5].map((n) => [`data_batch_${n}.bin`, binary10([2 * n - 2, 2 * n - 1])]),
    ),
    'test_batch.bin': binary10([7, 8, 9]),
    'batches.meta.txt': `${names(10, 'class').join('\n')}\n\n`,
  }),
  'cifar-10-batches-py': () => ({
    ...Object.fromEntries(
      [1, 2, 3, 4, 5].map((n) => [`data_batch_${n}`, pickled('labels', [2 * n - 2, 2 * n - 1])]),
    ),
    test_batch: pickled('labels', [7, 8, 9]),
    'batches.meta': pickle({ num_cases_per_batch: 2, label_names: names(10, 'class') }),
  }),
  'cifar-100-binary': () => ({
    'train.bin': binary100([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    'test.bin': binary100([7, 8, 9]),
    'fine_label_names.txt': names(100, 'fine').join('\n'),
    'coarse_label_names.txt': names(20, 'coarse').join('\n'),
  }),
  'cifar-100-python': () => ({
    train: pickled('fine_labels', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    test: pickled('fine_labels', [7, 8, 9]),
    meta: pickle({ fine_label_names: names(100, 'fine'), coarse_label_names: names(20, 'coarse') }),
  }),
};

const binary10 = (labels: number[]) =>
  Buffer.concat(labels.flatMap((label) => [Buffer.from([label]), planes(label)]));
/** The coarse label is the fine one's plus 10. */
const binary100 = (labels: number[]) =>
  Buffer.concat(labels.flatMap((label) => [Buffer.from([label + 10, label]), planes(label)]));
const pickled = (key: string, labels: number[]) =>
  pickle({
    batch_label: 'one of five',
    [key]: labels,
    coarse_labels: labels.map((label) => label + 10),
    data: Buffer.concat(labels.map(planes)),
  });

function unpacked(version: string): string {
  const folder = temporaryFolder();
  mkdirSync(path.join(folder, version));
  for (const [name, bytes] of Object.entries(VERSIONS[version]!())) {
    writeFileSync(path.join(folder, version, name), bytes);
  }
  return folder;
}

function archive(version: string): string {
  const file = path.join(temporaryFolder(), 'cifar.tar.gz');
  tar.c({ file, cwd: unpacked(version), sync: true, gzip: true }, [version]);
  return file;
}

async function labelsOf(place: string, labels: CifarLabels = 'fine') {
  const { classes, train, test } = await openCifar(cifarAt(place)!, labels);
  const inSet = (set: Cifar10Set) =>
    Array.from({ length: set.count }, (_, index) => {
      const { image, label } = readRecord(set, index, new Uint8Array(PLANES));
      return `${image.pixels[0]}:${label}`;
    });
  return { classes, train: inSet(train), test: inSet(test) };
}

for (const version of Object.keys(VERSIONS)) {
  const classes = version.includes('100') ? 100 : 10;
  suite(version, () => {
    for (const [form, place] of [
      ['a folder', () => path.join(unpacked(version), version)],
      ['a folder with that in it', () => unpacked(version)],
      ['an archive', () => archive(version)],
    ] as const) {
      test(`is read from ${form}`, async () => {
        const given = place();
        assert.deepEqual([dataAt(given).source, dataAt(given).classes], ['cifar10', classes]);
        const read = await labelsOf(given);
        assert.equal(read.classes.length, classes);
        assert.match(read.classes[1]!, /^(class|fine)1$/);
        assert.deepEqual(
          read.train,
          Array.from({ length: 10 }, (_, at) => `${at}:${at}`),
        );
        assert.deepEqual(read.test, ['7:7', '8:8', '9:9']);
      });
    }

    if (classes === 100) {
      test('has coarse labels too', async () => {
        const { classes: coarse, test: labels } = await labelsOf(unpacked(version), 'coarse');
        assert.deepEqual(
          [coarse.length, coarse[1], labels],
          [20, 'coarse1', ['7:17', '8:18', '9:19']],
        );
      });
    }
  });
}

test('a pickle that is cut short is named', async () => {
  const folder = unpacked('cifar-10-batches-py');
  const file = path.join(folder, 'cifar-10-batches-py/data_batch_3');
  writeFileSync(file, pickled('labels', [4, 5]).subarray(0, 900));
  await assert.rejects(labelsOf(folder), userError(file, 'cut short', 'fetch it again'));
});

test('a pickle that would call anything is refused', async () => {
  const folder = unpacked('cifar-10-batches-py');
  const file = path.join(folder, 'cifar-10-batches-py/data_batch_3');
  writeFileSync(file, Buffer.from('cposix\nsystem\n(U\x06ls -laetR.', 'latin1'));
  await assert.rejects(labelsOf(folder), userError(file, 'is not a CIFAR batch'));
});

test('a label that is no class is named with its file and record', async () => {
  const folder = unpacked('cifar-10-batches-py');
  const file = path.join(folder, 'cifar-10-batches-py/test_batch');
  writeFileSync(file, pickled('labels', [3, 10]));
  await assert.rejects(labelsOf(folder), userError(file, 'record 1', 'label 10', '10 classes'));
});
