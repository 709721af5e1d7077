import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { openRunFolder } from '../../src/runs/layout.js';
import { readSummary } from '../../src/runs/summary.js';
import {
  writeBroken,
  writeFlatImage,
  writeImageFolder,
  writeNoise,
} from '../data/image_folders.js';
import { newFolder, succeeds, TINY, twotower } from './command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);
const source = at('images');
await writeImageFolder(source, 10, 4);
writeBroken(join(source, 'train/a/broken.png'));

suite('data prepare', () => {
  test('makes a folder to train on, and says what it skipped', async () => {
    const prepare = ['data', 'prepare', source, at('prepared')];
    const { stdout, stderr } = await succeeds([...prepare, '--undecodable-limit', '0.1']);
    assert.match(stdout, /^20 training and 8 test images of 2 classes in 2 shards$/m);
    assert.match(stdout, /^skipped train\/a\/broken\.png: /m);
    assert.match(stderr, /^preparing: images 29\/29$/m);
    const options = ['--data', at('prepared'), '--steps', '1', '--cpu', '1', '--out', at('run')];
    await succeeds(['train', '--config', TINY, ...options]);
    const { status, test: tested } = readSummary(openRunFolder(at('run')));
    assert.equal(status, 'completed');
    assert.ok(tested !== null);
  });

  test('data inspect counts its classes and draws samples', async () => {
    const out = at('samples.png');
    const { stdout } = await succeeds(['data', 'inspect', at('prepared'), '--out', out]);
    assert.match(stdout, /^a +10 +4$/m);
    assert.match(stdout, /^all +20 +8$/m);
    assert.match(stdout, /^sizes of 20 training images: width 256, height 256$/m);
    assert.match(stdout, /^statistics of 20 training images at 256×256/m);
    const { format, width } = await sharp(out).metadata();
    assert.deepEqual([format, width], ['png', 724]);
  });

  test('data inspect says how large images of a folder are, and leaves out what is broken', async () => {
    await writeFlatImage(join(source, 'train/b/large.png'), [9, 8, 7], 40, 20);
    const { stdout } = await succeeds(['data', 'inspect', source]);
    assert.match(
      stdout,
      /^sizes of 21 training images: width 12 … 40, median 12, height 10 … 20, median 10$/m,
    );
    rmSync(join(source, 'train/b/large.png'));
  });

  /** A limit on the size of files, in KiB, stands in for a full disk: the next write fails in the same way. */
  function prepareWithFilesUpTo(size: number, from: string, to: string): void {
    const cli = fileURLToPath(new URL('../../src/cli.js', import.meta.url));
    const limited = ['-c', `ulimit -f ${size}; exec "$@"`, 'bash', process.execPath, cli];
    const { status, stderr } = spawnSync(
      'bash',
      [...limited, 'data', 'prepare', from, to, '--undecodable-limit', '0.1', '--quiet'],
      { encoding: 'utf8' },
    );
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^twotower: cannot write [^\n]+\n$/);
  }

  test('on a disk that is full says so and leaves nothing half-written', () => {
    prepareWithFilesUpTo(1, source, at('full'));
    assert.deepEqual(readdirSync(at('full')), []);
  });

  test('whose disk was full at its first shard goes on once there is room', async () => {
    const large = at('large');
    // 40 JPEGs of noise are larger than the sums of pixels that are written before them, 1,537 KiB.
    for (const split of ['train', 'test']) {
      for (let index = 0; index < 40; index++) {
        await writeNoise(join(large, split, index % 2 === 0 ? 'a' : 'b', `${index}.png`), 256);
      }
    }
    prepareWithFilesUpTo(1800, large, at('goes on'));
    assert.deepEqual(readdirSync(at('goes on')), ['unfinished.msgpack']);
    const { stdout } = await succeeds(['data', 'prepare', large, at('goes on')]);
    assert.match(stdout, /^40 training and 40 test images of 2 classes in 2 shards$/m);
  });

  test('finds a shard that was lost since', async () => {
    await succeeds(['data', 'prepare', source, at('lost'), '--undecodable-limit', '0.1']);
    rmSync(at('lost', 'test-00000.shard'));
    const { code, stderr } = await twotower(['data', 'prepare', source, at('lost')]);
    assert.equal(code, 1);
    assert.match(stderr, /test-00000\.shard cannot be read .*: run .* again into a new folder/);
  });

  test('refuses a share of undecodable images that is none', async () => {
    const { code, stderr } = await twotower([
      'data',
      'prepare',
      source,
      at('none'),
      '--undecodable-limit',
      '1 %',
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /--undecodable-limit must be a number from 0 to 1; it is "1 %"/);
    assert.ok(!existsSync(at('none')));
  });
});

test('data alone says what there is', async () => {
  const { code, stderr } = await twotower(['data']);
  assert.equal(code, 1);
  assert.match(stderr, /say what to do: data fetch, data prepare or data inspect/);
});
