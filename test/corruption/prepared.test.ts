import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { prepareDataset } from '../../src/data/prepare.js';
import { openPrepared } from '../../src/data/prepared.js';
import { writeImageFolder } from '../data/image_folders.js';
import { temporaryFolder } from '../data/temporary.js';
import { MUTATIONS, mutationsOf, rejectionOf } from './mutations.js';

const source = temporaryFolder();
await writeImageFolder(source, 3, 1);
const destination = join(temporaryFolder(), 'prepared');
await prepareDataset({ source, destination, undecodableLimit: 0, threads: 1 });

suite('a damaged file of a prepared data set', () => {
  for (const damaged of ['prepared.json', 'statistics.msgpack', 'checksums.json']) {
    test(`${damaged} is refused, and a file of the folder named, after any of ${MUTATIONS} mutations`, async (context) => {
      const folder = temporaryFolder();
      cpSync(destination, folder, { recursive: true });
      const file = join(folder, damaged);
      const other = readFileSync(join(folder, 'train-00000.shard'));
      assert.equal(await rejectionOf(openPrepared(folder), 'undamaged'), undefined);
      for (const { name, bytes } of mutationsOf(readFileSync(file), other)) {
        writeFileSync(file, bytes);
        const message = await rejectionOf(openPrepared(folder), name);
        assert.ok(message?.includes(folder), `${name}: ${message}`);
      }
      context.diagnostic(`${MUTATIONS} mutations of ${damaged}: ${MUTATIONS} refused`);
    });
  }
});
