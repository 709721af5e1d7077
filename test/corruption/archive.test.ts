import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { fetchCifar10 } from '../../src/data/fetch_cifar10.js';
import { messageOfRefusal } from './mutations.js';
import { temporaryFolder } from '../runs/temporary.js';

const FOLDER = 'cifar-10-batches-bin';
const NAMES = [...[1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`), 'test_batch.bin'];
const FILES = [...NAMES, 'batches.meta.txt'];

interface Entry {
  name: string;
  /** '0' a file, '1' a hard link, '2' a symbolic link. */
  type?: '0' | '1' | '2';
  link?: string;
  content?: Buffer;
}

/** An archive whose entries no packer would write (POSIX ustar: a block of 512 bytes, then the content). */
function tarOf(entries: Entry[]): Buffer {
  const blocks = entries.flatMap(({ name, type = '0', link = '', content = Buffer.alloc(0) }) => {
    const header = Buffer.alloc(512);
    const octal = (value: number, at: number, length: number) =>
      header.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
    header.write(name, 0, 'latin1');
    octal(0o644, 100, 8);
    octal(content.length, 124, 12);
    header.write(' '.repeat(8) + type + link, 148, 'latin1');
    header.write('ustar\0' + '00', 257, 'latin1');
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      148,
      7,
    );
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

const whole: Entry[] = FILES.map((name) => ({
  name: `${FOLDER}/${name}`,
  content: Buffer.from(`${name}, four images`),
}));

/** A folder into which the archive has been fetched, and a file beside it that nothing may touch. */
function fetched(context: TestContext, entries: (outside: string) => Entry[]) {
  const root = temporaryFolder(context);
  const directory = join(root, 'data');
  const outside = join(root, 'outside.txt');
  mkdirSync(directory);
  writeFileSync(outside, 'untouched');
  const archive = tarOf(entries(outside));
  writeFileSync(join(directory, 'cifar-10-binary.tar.gz'), archive);
  const md5 = createHash('md5').update(archive).digest('hex');
  const fetch = () => fetchCifar10({ directory, expected: { bytes: archive.length, md5 } });
  return { root, directory, outside, fetch };
}

suite('a hostile archive', () => {
  const evil = Buffer.from('overwritten');
  const hostile: [string, (outside: string) => Entry[]][] = [
    ['paths that lead up', () => [{ name: `${FOLDER}/../../outside.txt`, content: evil }]],
    ['an absolute path', (outside) => [{ name: outside, content: evil }]],
    [
      'a symbolic link under a data file’s name, then that file',
      (outside) => [
        { name: `${FOLDER}/data_batch_1.bin`, type: '2', link: outside },
        {
          name: `${FOLDER}/data_batch_1.bin`,
          content: Buffer.from('data_batch_1.bin, four images'),
        },
      ],
    ],
    [
      'a hard link under a data file’s name, then that file',
      (outside) => [
        { name: `${FOLDER}/data_batch_1.bin`, type: '1', link: outside },
        {
          name: `${FOLDER}/data_batch_1.bin`,
          content: Buffer.from('data_batch_1.bin, four images'),
        },
      ],
    ],
    [
      'a link in place of its folder',
      (outside) => [{ name: FOLDER, type: '2', link: join(outside, '..') }],
    ],
  ];
  for (const [name, entries] of hostile) {
    test(`with ${name} gives its own files and touches nothing else`, async (context) => {
      const { root, outside, fetch } = fetched(context, (path) => [...entries(path), ...whole]);
      const { folder } = await fetch();
      assert.deepEqual(readdirSync(folder).sort(), [...FILES].sort());
      for (const file of FILES) {
        assert.equal(readFileSync(join(folder, file), 'utf8'), `${file}, four images`);
      }
      assert.equal(readFileSync(outside, 'utf8'), 'untouched');
      assert.deepEqual(readdirSync(root).sort(), ['data', 'outside.txt']);
    });
  }

  // Zeros shrink a thousandfold, which tar itself refuses; numbers among them do not.
  const numbered = Buffer.alloc(32_000_000);
  for (let at = 0; at < numbered.length; at += 128) numbered.writeUInt32LE(at, at);
  const bombs: [string, Buffer, RegExp][] = [
    ['a thousandfold', Buffer.alloc(32_000_000), /\(max decompression ratio exceeded/],
    ['to more than any file of CIFAR-10', numbered, /\(it lacks data_batch_1\.bin/],
  ];
  for (const [name, content, reason] of bombs) {
    test(`with a file that unpacks ${name} is refused, and nothing of it is written`, async (context) => {
      const bomb = { name: `${FOLDER}/data_batch_1.bin`, content };
      const { directory, fetch } = fetched(context, () => [bomb, ...whole.slice(1)]);
      await assert.rejects(fetch(), (error) => {
        const refusal = messageOfRefusal(error, name);
        assert.match(refusal, /cifar-10-binary\.tar\.gz cannot be unpacked/);
        return reason.test(refusal);
      });
      assert.equal(existsSync(join(directory, FOLDER)), false);
      assert.deepEqual(readdirSync(directory), ['cifar-10-binary.tar.gz']);
    });
  }
});
