import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { openFolder } from '../../src/data/folder.js';
import { decodeImageFile } from '../../src/data/image_file.js';
import { readShardIndex, writeShard } from '../../src/data/shards.js';
import { RandomSequence, deriveKey } from '../../src/random.js';
import { pathsOf } from '../data/image_folders.js';
import { temporaryFolder } from '../runs/temporary.js';
import { MUTATIONS, messageOfRefusal, mutationsOf, refusalOf, rejectionOf } from './mutations.js';

const SIDE = 24;

function picture(): Sharp {
  const random = new RandomSequence(deriveKey(9, 'picture'));
  const pixels = Uint8Array.from({ length: SIDE * SIDE * 3 }, () => random.below(256));
  return sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } });
}

suite('a damaged image', () => {
  // Pixels have no checksum in these formats but PNG's. So what is not silent is: refused by name, or an
  // image, whole, of a size that fits its pixels.
  for (const format of ['jpeg', 'png', 'webp'] as const) {
    test(`in ${format} is refused by its name or decoded whole, after any of ${MUTATIONS} mutations`, async (context) => {
      const file = join(temporaryFolder(context), `some.${format}`);
      const original = await picture().toFormat(format).toBuffer();
      let refused = 0;
      for (const { name, bytes } of mutationsOf(original, Buffer.from('{"no": "image"}'))) {
        writeFileSync(file, bytes);
        try {
          const { height, width, pixels } = await decodeImageFile(file);
          assert.equal(pixels.length, height * width * 3, name);
        } catch (error) {
          const refusal = messageOfRefusal(error, name);
          assert.ok(refusal.includes(file), `${name}: ${refusal}`);
          refused++;
        }
      }
      context.diagnostic(
        `${MUTATIONS} mutations of ${format}: ${refused} refused, ${MUTATIONS - refused} decoded`,
      );
    });
  }

  test('that unpacks to more than 67 million pixels is refused before it does', async (context) => {
    const file = join(temporaryFolder(context), 'bomb.png');
    const blank = { width: 8200, height: 8200, channels: 3, background: 'white' } as const;
    await sharp({ create: blank }).png().toFile(file);
    assert.ok(readFileSync(file).length < 2_000_000);
    assert.match(
      (await rejectionOf(decodeImageFile(file), 'bomb'))!,
      /bomb\.png cannot be decoded \(.*pixel limit/,
    );
  });

  test('that is an SVG under another name is refused', async (context) => {
    const file = join(temporaryFolder(context), 'drawn.png');
    writeFileSync(file, '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>');
    assert.match(
      (await rejectionOf(decodeImageFile(file), 'svg'))!,
      /drawn\.png cannot be decoded \(it does not begin/,
    );
  });

  test('that is not there is called missing', async (context) => {
    const file = join(temporaryFolder(context), 'none.png');
    assert.match(
      (await rejectionOf(decodeImageFile(file), 'none'))!,
      /none\.png cannot be decoded \(there is no such file\)/,
    );
  });

  test('that is a pipe, a folder or a link to a device is refused at once', async (context) => {
    const folder = temporaryFolder(context);
    execFileSync('mkfifo', [join(folder, 'pipe.jpg')]);
    mkdirSync(join(folder, 'folder.jpg'));
    symlinkSync('/dev/zero', join(folder, 'endless.jpg'));
    for (const name of ['pipe.jpg', 'folder.jpg', 'endless.jpg']) {
      const refusal = await rejectionOf(decodeImageFile(join(folder, name)), name);
      assert.match(refusal!, new RegExp(`${name} cannot be decoded \\(it is no file\\)`));
    }
  });
});

suite('a damaged shard', () => {
  test(`is refused by its name or differs in images and labels alone, after any of ${MUTATIONS} mutations`, async (context) => {
    const file = join(temporaryFolder(context), 'train-00000.shard');
    const jpeg = await picture().jpeg().toBuffer();
    const content = {
      lengths: Array.from({ length: 20 }, () => jpeg.length),
      labels: Array.from({ length: 20 }, (_, index) => index % 10),
      jpegs: Buffer.concat(Array.from({ length: 20 }, () => jpeg)),
    };
    writeShard(file, content);
    const original = readFileSync(file);
    const { starts, lengths } = readShardIndex(file, 20, 10);
    let refused = 0;
    for (const { name, bytes } of mutationsOf(original, Buffer.from('another file'))) {
      writeFileSync(file, bytes);
      const refusal = refusalOf(() => readShardIndex(file, 20, 10), name);
      if (refusal === undefined) {
        const read = readShardIndex(file, 20, 10);
        assert.deepEqual([read.starts, read.lengths], [starts, lengths], name);
      } else {
        assert.ok(refusal.includes(file), `${name}: ${refusal}`);
        refused++;
      }
    }
    context.diagnostic(`${MUTATIONS} mutations of a shard: ${refused} refused by its index`);
  });

  test('of a manifest that claims 10¹⁵ examples is refused before memory is taken', (context) => {
    const file = join(temporaryFolder(context), 'train-00000.shard');
    writeShard(file, { lengths: [], labels: [], jpegs: new Uint8Array(0) });
    const refusal = refusalOf(() => readShardIndex(file, 1e15, 10), 'claims');
    assert.match(refusal!, /train-00000\.shard is damaged or truncated/);
  });
});

suite('symbolic links in a data folder', () => {
  /** A folder of two classes, an image each in both splits. */
  async function images(context: TestContext): Promise<string> {
    const folder = temporaryFolder(context);
    const png = await picture().png().toBuffer();
    for (const place of ['train/cat', 'train/dog', 'test/cat', 'test/dog']) {
      mkdirSync(join(folder, place), { recursive: true });
      writeFileSync(join(folder, place, '1.png'), png);
    }
    return folder;
  }

  test('are followed out of the folder, to a class and to an image', async (context) => {
    const folder = await images(context);
    const elsewhere = await images(context);
    rmSync(join(folder, 'train/dog'), { recursive: true });
    symlinkSync(join(elsewhere, 'train/dog'), join(folder, 'train/dog'));
    symlinkSync(join(elsewhere, 'train/cat/1.png'), join(folder, 'train/cat/2.png'));
    const { train, classes } = await openFolder(folder);
    assert.deepEqual([classes, train.count], [['cat', 'dog'], 3]);
    for (const file of pathsOf(train.files)) {
      assert.equal((await decodeImageFile(file)).width, SIDE);
    }
  });

  test('in a circle are refused by the link’s name', async (context) => {
    const folder = await images(context);
    symlinkSync(join(folder, 'train/loop'), join(folder, 'train/loop'));
    await assert.rejects(openFolder(folder), {
      name: 'UserError',
      message: /train\/loop is a broken link/,
    });
  });

  test('to a folder above are a class without images, not walked for ever', async (context) => {
    const folder = await images(context);
    symlinkSync('..', join(folder, 'train/above'));
    await assert.rejects(openFolder(folder), {
      name: 'UserError',
      message: /train\/above has no images/,
    });
  });
});
