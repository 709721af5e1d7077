import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { prepareDataset } from '../../src/data/prepare.js';
import { openPrepared } from '../../src/data/prepared.js';
import { writeBroken, writeImageFolder } from '../data/image_folders.js';
import { temporaryFolder } from '../data/temporary.js';
import { MUTATIONS, mutationsOf, rejectionOf } from './mutations.js';

const source = temporaryFolder();
await writeImageFolder(source, 3, 1);
const destination = join(temporaryFolder(), 'prepared');
await prepareDataset({ source, destination, undecodableLimit: 0, threads: 1 });

suite('a damaged file of a prepared data set', () => {
  for (const [damaged, count] of [
    ['prepared.json', MUTATIONS],
    // It has the mean image, so each mutation writes and reads three quarters of a megabyte.
    ['statistics.msgpack', MUTATIONS / 5],
    ['checksums.json', MUTATIONS],
  ] as const) {
    test(`${damaged} is refused, and a file of the folder named, after any of ${count} mutations`, async (context) => {
      const folder = temporaryFolder();
      cpSync(destination, folder, { recursive: true });
      const file = join(folder, damaged);
      const other = readFileSync(join(folder, 'train-00000.shard'));
      assert.equal(await rejectionOf(openPrepared(folder), 'undamaged'), undefined);
      for (const { name, bytes } of mutationsOf(readFileSync(file), other, count)) {
        writeFileSync(file, bytes);
        const message = await rejectionOf(openPrepared(folder), name);
        assert.ok(message?.includes(folder), `${name}: ${message}`);
      }
      context.diagnostic(`${count} mutations of ${damaged}: ${count} refused`);
    });
  }
});

test(`the record of an interrupted data prepare is refused by its name after any of ${MUTATIONS} mutations`, async (context) => {
  const images = temporaryFolder();
  cpSync(source, images, { recursive: true });
  writeBroken(join(images, 'test/b/broken.png'));
  const begun = join(temporaryFolder(), 'begun');
  const goOn = () =>
    prepareDataset({ source: images, destination: begun, undecodableLimit: 0, threads: 1 });
  const interruption = await rejectionOf(goOn(), 'interrupted');
  assert.ok(interruption?.includes('broken.png'), interruption);
  const file = join(begun, 'unfinished.msgpack');
  const other = readFileSync(join(begun, 'train-00000.shard'));
  for (const { name, bytes } of mutationsOf(readFileSync(file), other)) {
    writeFileSync(file, bytes);
    const message = await rejectionOf(goOn(), name);
    assert.ok(message?.includes(`${file} cannot be read`), `${name}: ${message}`);
  }
  context.diagnostic(`${MUTATIONS} mutations of unfinished.msgpack: ${MUTATIONS} refused`);
});
