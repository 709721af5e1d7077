import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { decodeImage } from '../../src/data/image_file.js';
import { userError } from './user_error.js';

/** A red, a green, a blue above a white, a black, a grey pixel. */
const PIXELS = [...[255, 0, 0, 0, 255, 0, 0, 0, 255], ...[255, 255, 255, 0, 0, 0, 128, 128, 128]];
const PALETTE = [
  [0, 0, 255],
  [0, 255, 0],
  [255, 0, 0],
  [255, 255, 255],
  [0, 0, 0],
  [128, 128, 128],
];

/** @param rows the bytes of the two rows, the bottom one first */
function bmp(
  bits: number,
  rows: number[][],
  { topDown = false, palette = false, masks = [] as number[], core = false } = {},
) {
  const colours = palette ? PALETTE.flatMap((entry) => (core ? entry : [...entry, 0])) : [];
  const stride = Math.floor((3 * bits + 31) / 32) * 4;
  const info = Buffer.alloc(core ? 12 : 40);
  info.writeUInt32LE(info.length, 0);
  if (core) {
    [3, 2, 1, bits].forEach((value, at) => info.writeUInt16LE(value, 4 + 2 * at));
  } else {
    info.writeInt32LE(3, 4);
    info.writeInt32LE(topDown ? -2 : 2, 8);
    info.writeUInt16LE(1, 12);
    info.writeUInt16LE(bits, 14);
    info.writeUInt32LE(masks.length > 0 ? 3 : 0, 16);
  }
  const maskBytes = Buffer.alloc(4 * masks.length);
  masks.forEach((mask, at) => maskBytes.writeUInt32LE(mask, 4 * at));
  const body = rows.map((row) => Buffer.concat([Buffer.from(row)], stride));
  const head = Buffer.alloc(14);
  head.write('BM', 'latin1');
  head.writeUInt32LE(14 + info.length + maskBytes.length + colours.length, 10);
  return Buffer.concat([head, info, maskBytes, Buffer.from(colours), ...body]);
}

/** Blue, green, red of three pixels. */
const bgr = (row: number) =>
  [0, 1, 2].flatMap((column) =>
    PIXELS.slice((row * 3 + column) * 3, (row * 3 + column) * 3 + 3).reverse(),
  );
const bgrx = (row: number) =>
  [0, 1, 2].flatMap((column) => [...bgr(row).slice(3 * column, 3 * column + 3), 0]);
/** 5 bits of red, 6 of green, 5 of blue; and 5 of each. */
const words = (row: number, greenBits: number) =>
  [0, 1, 2].flatMap((column) => {
    const [b, g, r] = bgr(row)
      .slice(3 * column, 3 * column + 3)
      .map((value) => value / 255);
    const word =
      (Math.round(r! * 31) << (5 + greenBits)) |
      (Math.round(g! * (2 ** greenBits - 1)) << 5) |
      Math.round(b! * 31);
    return [word & 255, word >> 8];
  });

const CASES: [name: string, bytes: Buffer, tolerance: number][] = [
  ['24 bits', bmp(24, [bgr(1), bgr(0)]), 0],
  ['24 bits with rows from the top', bmp(24, [bgr(0), bgr(1)], { topDown: true }), 0],
  ['24 bits with the oldest header', bmp(24, [bgr(1), bgr(0)], { core: true }), 0],
  ['32 bits', bmp(32, [bgrx(1), bgrx(0)]), 0],
  ['32 bits with masks', bmp(32, [bgrx(1), bgrx(0)], { masks: [0xff0000, 0xff00, 0xff] }), 0],
  ['16 bits', bmp(16, [words(1, 5), words(0, 5)]), 4],
  ['16 bits with masks', bmp(16, [words(1, 6), words(0, 6)], { masks: [0xf800, 0x7e0, 0x1f] }), 4],
  [
    '8 bits and a palette',
    bmp(
      8,
      [
        [3, 4, 5],
        [0, 1, 2],
      ],
      { palette: true },
    ),
    0,
  ],
  [
    '8 bits with the oldest header',
    bmp(
      8,
      [
        [3, 4, 5],
        [0, 1, 2],
      ],
      { palette: true, core: true },
    ),
    0,
  ],
  [
    '4 bits and a palette',
    bmp(
      4,
      [
        [0x34, 0x50],
        [0x01, 0x20],
      ],
      { palette: true },
    ),
    0,
  ],
];

for (const [name, bytes, tolerance] of CASES) {
  test(`a BMP of ${name} is decoded`, async () => {
    const { height, width, pixels } = await decodeImage(bytes, 'a.bmp');
    assert.deepEqual([height, width], [2, 3]);
    PIXELS.forEach((value, at) => {
      assert.ok(Math.abs(pixels[at]! - value) <= tolerance, `${pixels.join(' ')}`);
    });
  });
}

test('a BMP that is cut short is refused', async () => {
  const whole = bmp(24, [bgr(1), bgr(0)]);
  await assert.rejects(
    decodeImage(whole.subarray(0, whole.length - 8), 'a.bmp'),
    userError('a.bmp', 'cut short'),
  );
});

test('a BMP of impossible size is refused before memory is taken', async () => {
  const huge = bmp(24, [bgr(1), bgr(0)]);
  huge.writeInt32LE(2_000_000_000, 18);
  await assert.rejects(decodeImage(huge, 'a.bmp'), userError('a.bmp', 'too large'));
});

test('a compressed BMP is refused as such', async () => {
  const compressed = bmp(
    8,
    [
      [3, 4, 5],
      [0, 1, 2],
    ],
    { palette: true },
  );
  compressed.writeUInt32LE(1, 30);
  await assert.rejects(decodeImage(compressed, 'a.bmp'), userError('a.bmp', 'compressed BMP'));
});

test('an AVIF is decoded', async () => {
  const flat = { create: { width: 16, height: 16, channels: 3 as const, background: '#c83c1e' } };
  const { pixels } = await decodeImage(
    await sharp(flat).avif({ lossless: true }).toBuffer(),
    'a.avif',
  );
  [200, 60, 30].forEach((value, at) => assert.ok(Math.abs(pixels[at]! - value) <= 2));
});
