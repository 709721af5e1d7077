/** `data inspect` of each layout: counts per class, and a picture of samples. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { parquetWriteFile } from 'hyparquet-writer';
import sharp from 'sharp';
import * as tar from 'tar';
import { inspectData } from '../../src/library/inspect_data.js';

const folder = mkdtempSync(join(tmpdir(), 'twotower-'));
after(() => rmSync(folder, { recursive: true }));
const png = await sharp({ create: { width: 32, height: 32, channels: 3, background: '#c83c1e' } })
  .png()
  .toBuffer();

function write(name: string, files: Record<string, Uint8Array | string>): string {
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name, file)), { recursive: true });
    writeFileSync(join(folder, name, file), content);
  }
  return join(folder, name);
}

const SPLITS = { 'train/cat/1.png': png, 'train/dog/1.png': png, 'val/cat/2.png': png };

const LAYOUTS: [name: string, make: () => string, split?: number][] = [
  ['class folders', () => write('folders', SPLITS)],
  [
    'tiny-imagenet',
    () =>
      write('tiny', {
        'train/n1/images/1.JPEG': png,
        'train/n2/images/1.JPEG': png,
        'val/images/v.JPEG': png,
        'val/val_annotations.txt': 'v.JPEG\tn1\t0\t0\t1\t1\n',
      }),
  ],
  [
    'Kaggle',
    () =>
      write('kaggle', {
        'ILSVRC/Data/CLS-LOC/train/n1/1.JPEG': png,
        'ILSVRC/Data/CLS-LOC/train/n2/1.JPEG': png,
        'ILSVRC/Data/CLS-LOC/val/v.JPEG': png,
        'LOC_val_solution.csv': 'ImageId,PredictionString\nv,n1 1 1 2 2\n',
      }),
  ],
  [
    'no split',
    () =>
      write('unsplit', { 'cat/1.png': png, 'cat/2.png': png, 'dog/1.png': png, 'dog/2.png': png }),
    0.5,
  ],
  [
    'WebDataset',
    () => {
      const files = write('wds', { 'a.png': png, 'a.cls': '0', 'b.png': png, 'b.cls': '1' });
      mkdirSync(join(folder, 'tars'));
      for (const split of ['train', 'val']) {
        tar.c({ file: join(folder, `tars/${split}.tar`), cwd: files, sync: true }, [
          'a.png',
          'a.cls',
          'b.png',
          'b.cls',
        ]);
      }
      return join(folder, 'tars');
    },
  ],
  [
    'Parquet',
    () => {
      mkdirSync(join(folder, 'parquet'));
      for (const split of ['train', 'validation']) {
        parquetWriteFile({
          filename: join(folder, `parquet/${split}.parquet`),
          columnData: [
            { name: 'image', type: 'BYTE_ARRAY', data: [new Uint8Array(png), new Uint8Array(png)] },
            { name: 'label', type: 'STRING', data: ['cat', 'dog'] },
          ],
        });
      }
      return join(folder, 'parquet');
    },
  ],
  [
    'CIFAR-10',
    () => {
      const records = Buffer.alloc(2 * 3073, 7);
      records[0] = 0;
      records[3073] = 1;
      const files: Record<string, Uint8Array> = { 'test_batch.bin': records };
      for (const number of [1, 2, 3, 4, 5]) files[`data_batch_${number}.bin`] = records;
      return write('cifar', files);
    },
  ],
];

for (const [name, make, split] of LAYOUTS) {
  test(`${name}: classes are counted and samples are drawn`, async () => {
    const out = join(folder, `${name}.png`);
    const directory = make();
    const { classes } = await inspectData({
      directory,
      preset: 'cifar10-quick',
      split,
      out,
      samples: 2,
    });
    const [first, second] = classes;
    assert.ok(first!.train > 0 && second!.train > 0 && first!.test > 0, JSON.stringify(classes));
    const { width, height } = await sharp(out).metadata();
    assert.ok(width > 100 && height > 50, `${width}×${height}`);
  });
}
