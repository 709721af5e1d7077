/**
 * Twenty inputs that users of torchvision, Keras, DIGITS, fastai and timm report as trouble, made small. Each is tried
 * as a data set or as an image; docs/data.md lists them.
 */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { BatchRing } from '../../src/data/batches.js';
import { openFolder } from '../../src/data/folder.js';
import { decodeImage } from '../../src/data/image_file.js';
import { dataAt } from '../../src/data/locate.js';
import { pathsOf } from './image_folders.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

const COLOUR = [200, 60, 30];
const flat = { create: { width: 64, height: 48, channels: 3 as const, background: '#c83c1e' } };
const jpeg = await sharp(flat).jpeg({ quality: 95 }).toBuffer();
const png = await sharp(flat).png().toBuffer();

function folderWith(files: Record<string, Uint8Array | string>): string {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  }
  return folder;
}

async function shows(bytes: Uint8Array, expected = COLOUR, tolerance = 3): Promise<void> {
  const { pixels } = await decodeImage(bytes, 'image');
  expected.forEach((value, channel) =>
    assert.ok(
      Math.abs(pixels[channel]! - value) <= tolerance,
      `${[...pixels.subarray(0, 3)].join(' ')}`,
    ),
  );
}

/** A JPEG with a segment after its first two bytes. */
function withSegment(marker: number, content: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(content.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), head, content, jpeg.subarray(2)]);
}

/** A PNG with a chunk after its header. */
function withChunk(type: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([png.subarray(0, 33), length, body, sum, png.subarray(33)]);
}

suite('folders', () => {
  test('1: folders 0 to 11 are classes by their names, in train and in val', async () => {
    const names = Array.from({ length: 12 }, (_, at) => String(at));
    const files = names.flatMap((name) => [`train/${name}/1.png`, `val/${name}/2.png`]);
    const { classes, train, test } = await openFolder(
      folderWith(Object.fromEntries(files.map((file) => [file, png]))),
    );
    const nameOf = (file: string) => path.basename(path.dirname(file));
    for (const { files, labels } of [train, test]) {
      assert.deepEqual(
        pathsOf(files).map(nameOf),
        [...labels].map((label) => classes[label]),
      );
    }
  });

  test("2: a notebook's checkpoints inside a class are no images of it", async () => {
    const folder = folderWith({
      ...{
        'train/a/1.png': png,
        'train/a/.ipynb_checkpoints/1-checkpoint.png': png,
        'val/a/1.png': png,
      },
    });
    assert.equal((await openFolder(folder)).train.count, 1);
  });

  test('3: the folder of one class in place of the data set is refused, with what is wanted', () => {
    const folder = folderWith({ '1.png': png, '2.png': png });
    assert.throws(() => dataAt(folder), userError('it contains no data set', 'train/CLASS/'));
  });

  test('4: all images in one subfolder are refused: one class is none', () => {
    const folder = folderWith({ 'train/images/1.png': png, 'val/images/2.png': png });
    assert.throws(() => dataAt(folder), userError('1 class folders', 'at least 2'));
  });

  test('5: endings in capitals', async () => {
    const folder = folderWith({
      'train/a/1.JPG': jpeg,
      'train/a/2.Jpeg': jpeg,
      'val/a/1.PNG': png,
    });
    assert.equal((await openFolder(folder)).train.count, 2);
  });

  test('6: names of blanks, marks, emoji and line breaks', async () => {
    const names = ['a b', '100%', '#1', 'Ünïcödé', '🐱', 'two\nlines', "it's"];
    const files = Object.fromEntries(
      names.flatMap((name) => [
        [`train/${name}/${name}.png`, png],
        [`val/${name}/x.png`, png],
      ]),
    );
    const { classes, train } = await openFolder(folderWith(files));
    assert.deepEqual(classes, names.toSorted());
    const paths = pathsOf(train.files);
    for (const file of paths) await decodeImage(await sharp(file).png().toBuffer(), file);
    assert.equal(paths.length, names.length);
  });

  test('7: a data set that is a link, with a slash behind', async () => {
    const folder = folderWith({ 'train/a/1.png': png, 'train/b/1.png': png, 'val/a/1.png': png });
    const link = path.join(temporaryFolder(), 'link');
    symlinkSync(folder, link);
    assert.equal(dataAt(`${link}/`).classes, 2);
    assert.equal((await openFolder(`${link}/`)).train.count, 2);
  });

  test('8: folders of leading zeros are names, not numbers', async () => {
    const folder = folderWith({
      ...{ 'train/0000/1.png': png, 'train/0001/1.png': png, 'val/a.png': png, 'val/b.png': png },
      'val.txt': 'a.png 0001\nb.png 0000\n',
    });
    assert.deepEqual([...(await openFolder(folder)).test.labels], [1, 0]);
  });

  test('9: images beside the class folders belong to no class', async () => {
    const folder = folderWith({ 'train/a/1.png': png, 'train/stray.png': png, 'val/a/1.png': png });
    assert.equal((await openFolder(folder)).train.count, 1);
  });

  test('10: empty files among the images are left out of training, within the limit', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 9 }, (_, at) => [`train/a/${at}.jpg`, jpeg]),
    );
    const folder = folderWith({ ...files, 'train/a/666.jpg': '', 'val/a/1.jpg': jpeg });
    const ring = new BatchRing({
      dataset: await openFolder(folder),
      data: { view: { type: 'resize' }, flip: false, undecodableLimit: 0.1 },
      ...{ height: 8, width: 8, batch: 10, seed: 0, decoders: 1, slots: 1 },
    });
    await ring.batchAt({ epoch: 0, batch: 0 });
    assert.deepEqual(
      ring.undecodable.map(({ file }) => path.basename(file)),
      ['666.jpg'],
    );
    await ring.close();
  });
});

suite('images', () => {
  test('11: a JPEG that lacks its last two bytes is whole', () => shows(jpeg.subarray(0, -2)));

  test('12: a JPEG that lacks more is refused', async () => {
    await assert.rejects(
      decodeImage(jpeg.subarray(0, -60), 'cut.jpg'),
      userError('cut.jpg cannot be decoded'),
    );
  });

  test('13: bytes after the end of a JPEG, and a second image after the first', async () => {
    await shows(Buffer.concat([jpeg, Buffer.alloc(500)]));
    await shows(Buffer.concat([jpeg, await sharp(flat).negate().jpeg().toBuffer()]));
  });

  test('14: EXIF data that point outside of themselves', () =>
    shows(withSegment(0xe1, Buffer.from('Exif\0\0MM\0\x2a\xff\xff\xff\xf0', 'latin1'))));

  test('15: a colour profile that is none, in a JPEG and in a PNG', async () => {
    await shows(
      withSegment(
        0xe2,
        Buffer.concat([Buffer.from('ICC_PROFILE\0\x01\x01', 'latin1'), Buffer.alloc(20)]),
      ),
    );
    await shows(
      withChunk('iCCP', Buffer.concat([Buffer.from('x\0\0', 'latin1'), deflateSync('no profile')])),
    );
  });

  test('16: of an animation the first frame', async () => {
    const frames = await sharp(
      [
        await sharp(flat).toColourspace('srgb').png().toBuffer(),
        await sharp(flat).negate().png().toBuffer(),
      ] as never,
      { join: { animated: true } },
    )
      .gif()
      .toBuffer();
    await shows(frames, COLOUR, 8);
  });

  test('17: a palette with a transparent colour shows white there', async () => {
    const clear = {
      create: {
        width: 8,
        height: 8,
        channels: 4 as const,
        background: { r: 9, g: 9, b: 9, alpha: 0 },
      },
    };
    await shows(await sharp(clear).png({ palette: true }).toBuffer(), [255, 255, 255], 0);
  });

  test('18: PNG, WebP and TIFF under the name of a JPEG', async () => {
    for (const format of ['png', 'webp', 'tiff'] as const) {
      await shows(await sharp(flat).toFormat(format).toBuffer());
    }
  });

  test('19: one pixel, and one row of 700', async () => {
    const folder = folderWith({
      'train/a/1.png': await sharp({ create: { ...flat.create, width: 1, height: 1 } })
        .png()
        .toBuffer(),
      'train/a/2.png': await sharp({ create: { ...flat.create, width: 700, height: 1 } })
        .png()
        .toBuffer(),
      'val/a/1.png': png,
    });
    for (const view of [{ type: 'resize' }, { type: 'crop', from: 16 }] as const) {
      const ring = new BatchRing({
        dataset: await openFolder(folder),
        data: { view, flip: true },
        ...{ height: 16, width: 16, batch: 2, seed: 0, decoders: 1, slots: 1 },
      });
      const { pixels } = await ring.batchAt({ epoch: 0, batch: 0 });
      assert.ok(new Uint8Array(pixels).every((value, at) => value === COLOUR[at % 3]));
      await ring.close();
    }
  });

  test('20: an error page under the name of a JPEG is named', async () => {
    const page = Buffer.from(
      '<!DOCTYPE html><html><body>This photo is no longer available</body></html>',
    );
    await assert.rejects(
      decodeImage(page, 'photo.jpg'),
      userError('photo.jpg', 'does not begin like JPEG'),
    );
  });
});
