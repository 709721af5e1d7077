import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { decodeImageFile } from '../../src/data/image_file.js';
import { UserError } from '../../src/errors.js';
import { RandomSequence, deriveKey } from '../../src/random.js';
import { temporaryFolder } from './temporary.js';

const folder = temporaryFolder();
const file = (name: string) => path.join(folder, name);
const random = new RandomSequence(deriveKey(1, 'image file test'));
const bytes = (count: number) => Uint8Array.from({ length: count }, () => random.below(256));

/** Two rows of three pixels. */
const raw = (channels: 1 | 2 | 3 | 4) => ({ raw: { width: 3, height: 2, channels } });
const rgb = bytes(18);

test('a PNG is decoded to its pixels', async () => {
  await sharp(rgb, raw(3)).png().toFile(file('rgb.png'));
  const { height, width, pixels } = await decodeImageFile(file('rgb.png'));
  assert.deepEqual([height, width, [...pixels]], [2, 3, [...rgb]]);
});

test('grey becomes three equal channels', async () => {
  const grey = bytes(6);
  await sharp(grey, raw(1)).toColourspace('b-w').png().toFile(file('grey.png'));
  assert.equal((await sharp(file('grey.png')).metadata()).channels, 1);
  const { pixels } = await decodeImageFile(file('grey.png'));
  assert.deepEqual(
    [...pixels],
    [...grey].flatMap((value) => [value, value, value]),
  );
});

/** What shows of a value through transparency over a background. */
const over = (value: number, alpha: number, background: number) =>
  background + ((value - background) * alpha) / 255;

function near(actual: Iterable<number>, expected: number[]): void {
  const values = [...actual];
  assert.equal(values.length, expected.length);
  values.forEach((value, at) =>
    assert.ok(Math.abs(value - expected[at]!) <= 1, `${values.join(' ')}`),
  );
}

test('transparent areas show white', async () => {
  const rgba = bytes(24);
  await sharp(rgba, raw(4)).png().toFile(file('alpha.png'));
  const { pixels } = await decodeImageFile(file('alpha.png'));
  const shown = [...rgba].map((value, at) => over(value, rgba[at - (at % 4) + 3]!, 255));
  near(
    pixels,
    shown.filter((_, at) => at % 4 !== 3),
  );
});

test('the background of the configuration shows through', async () => {
  await sharp(
    Uint8Array.from({ length: 24 }, () => 0),
    raw(4),
  )
    .png()
    .toFile(file('clear.png'));
  const { pixels } = await decodeImageFile(file('clear.png'), [10, 20, 30]);
  assert.deepEqual([...pixels.subarray(0, 6)], [10, 20, 30, 10, 20, 30]);
});

test('opaque colours stay as they are', async () => {
  const rgba = bytes(24).map((value, at) => (at % 4 === 3 ? 255 : value));
  await sharp(rgba, raw(4)).png().toFile(file('opaque.png'));
  const { pixels } = await decodeImageFile(file('opaque.png'));
  assert.deepEqual(
    [...pixels],
    [...rgba].filter((_, at) => at % 4 !== 3),
  );
});

test('grey with alpha becomes three channels over white', async () => {
  const greyAlpha = bytes(12);
  await sharp(greyAlpha, raw(2)).toColourspace('b-w').png().toFile(file('grey-alpha.png'));
  assert.equal((await sharp(file('grey-alpha.png')).metadata()).channels, 2);
  const { pixels } = await decodeImageFile(file('grey-alpha.png'));
  near(
    pixels,
    [0, 2, 4, 6, 8, 10].flatMap((at) =>
      Array<number>(3).fill(over(greyAlpha[at]!, greyAlpha[at + 1]!, 255)),
    ),
  );
});

test('16-bit transparency shows white too', async () => {
  await sharp(
    Uint8Array.from({ length: 24 }, () => 0),
    raw(4),
  )
    .toColourspace('rgb16')
    .png()
    .toFile(file('deep-clear.png'));
  assert.equal((await sharp(file('deep-clear.png')).metadata()).depth, 'ushort');
  near((await decodeImageFile(file('deep-clear.png'))).pixels, Array<number>(18).fill(255));
});

const refused = (name: string) => (error: unknown) => {
  assert.ok(error instanceof UserError, String(error));
  assert.ok(error.message.startsWith(`${file(name)} cannot be decoded`), error.message);
  assert.ok(!error.message.includes('\n'));
  return true;
};

/** A TIFF of 3×2 grey samples of 32 bits. */
function deepTiff(format: 1 | 3): Uint8Array {
  const entries: [tag: number, type: 3 | 4, value: number][] = [
    [256, 3, 3],
    [257, 3, 2],
    [258, 3, 32],
    [259, 3, 1],
    [262, 3, 1],
    [273, 4, 8],
    [277, 3, 1],
    [278, 3, 2],
    [279, 4, 24],
    [339, 3, format],
  ];
  const tiff = Buffer.alloc(8 + 24 + 2 + 12 * entries.length + 4);
  tiff.write('II*\0', 'latin1');
  tiff.writeUInt32LE(32, 4);
  for (let sample = 0; sample < 6; sample++) {
    if (format === 3) tiff.writeFloatLE(sample / 6, 8 + 4 * sample);
    else tiff.writeUInt32LE(sample * 10_000, 8 + 4 * sample);
  }
  tiff.writeUInt16LE(entries.length, 32);
  entries.forEach(([tag, type, value], at) => {
    const entry = 34 + 12 * at;
    tiff.writeUInt16LE(tag, entry);
    tiff.writeUInt16LE(type, entry + 2);
    tiff.writeUInt32LE(1, entry + 4);
    if (type === 3) tiff.writeUInt16LE(value, entry + 8);
    else tiff.writeUInt32LE(value, entry + 8);
  });
  return tiff;
}

for (const [name, format] of [
  ['floating-point', 3],
  ['32-bit', 1],
] as const) {
  test(`a ${name} TIFF is refused, as its white is unknown`, async () => {
    writeFileSync(file(`${name}.tif`), deepTiff(format));
    await assert.rejects(
      decodeImageFile(file(`${name}.tif`)),
      (error) =>
        refused(`${name}.tif`)(error) &&
        /range of its (float|uint) samples is unknown/.test(String(error)),
    );
  });
}

test('16-bit values are scaled to 8 bits', async () => {
  await sharp(rgb, raw(3)).toColourspace('rgb16').png().toFile(file('deep.png'));
  assert.equal((await sharp(file('deep.png')).metadata()).depth, 'ushort');
  assert.deepEqual([...(await decodeImageFile(file('deep.png'))).pixels], [...rgb]);
});

test('CMYK becomes the red, green and blue that it was made of', async () => {
  const brown = [150, 110, 90];
  const flat = Uint8Array.from({ length: 18 }, (_, at) => brown[at % 3]!);
  await sharp(flat, raw(3)).toColourspace('cmyk').jpeg({ quality: 100 }).toFile(file('cmyk.jpg'));
  assert.equal((await sharp(file('cmyk.jpg')).metadata()).channels, 4);
  const { pixels } = await decodeImageFile(file('cmyk.jpg'));
  // There and back through a printer’s profile is off by 10 of 255; CMYK taken for RGB by more than 50.
  brown.forEach((value, channel) => {
    assert.ok(
      Math.abs(pixels[channel]! - value) <= 12,
      `${pixels.join(' ')} for ${brown.join(' ')}`,
    );
  });
  assert.equal(pixels.length, 18);
});

test("EXIF's orientation turns the image upright", async () => {
  // Orientation 6: the stored image must be turned clockwise, so the left column becomes the top row.
  await sharp(rgb, raw(3)).withMetadata({ orientation: 6 }).png().toFile(file('turned.png'));
  const { height, width, pixels } = await decodeImageFile(file('turned.png'));
  assert.deepEqual([height, width], [3, 2]);
  const at = (row: number, column: number) => [...rgb.subarray((row * 3 + column) * 3)].slice(0, 3);
  assert.deepEqual([...pixels.subarray(0, 6)], [...at(1, 0), ...at(0, 0)]);
});

test('a file that is no image is named', async () => {
  writeFileSync(file('text.jpg'), 'this is no image');
  await assert.rejects(decodeImageFile(file('text.jpg')), refused('text.jpg'));
});

test('a truncated JPEG is named', async () => {
  const noise = { raw: { width: 64, height: 64, channels: 3 as const } };
  await sharp(bytes(64 * 64 * 3), noise)
    .jpeg()
    .toFile(file('whole.jpg'));
  const whole = readFileSync(file('whole.jpg'));
  writeFileSync(file('half.jpg'), whole.subarray(0, whole.length / 2));
  await assert.rejects(decodeImageFile(file('half.jpg')), refused('half.jpg'));
});

test('a file that is gone is named', async () => {
  await assert.rejects(decodeImageFile(file('gone.jpg')), refused('gone.jpg'));
});
