import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp, { type JpegOptions, type Sharp } from 'sharp';
import { MOST_PIXELS } from '../../src/data/image.js';
import { decodePlainJpeg, plainSize } from '../../src/data/jpeg_decoder.js';
import { RandomSequence, deriveKey } from '../../src/random.js';

const random = new RandomSequence(deriveKey(1, 'jpeg decoder test'));

/** Noise, of which every way of compressing makes something else. */
function noise(width: number, height: number, channels: 1 | 3 = 3): Sharp {
  const pixels = Uint8Array.from({ length: width * height * channels }, () => random.below(256));
  return sharp(pixels, { raw: { width, height, channels } });
}

const jpeg = (options: JpegOptions = {}, width = 37, height = 29) =>
  noise(width, height).jpeg(options).toBuffer();

const bySharp = (bytes: Uint8Array) => sharp(bytes).removeAlpha().raw().toBuffer();

/**
 * A JPEG whose colours have half the resolution in one direction, which sharp does not write. The blocks of
 * a CMYK image come by fours, one of each channel; they are declared to be two of brightness and one of
 * either colour, so they fill an image of twice the pixels.
 */
async function halfResolution(direction: 'across' | 'down'): Promise<Buffer> {
  const cmyk = await noise(40, 40).toColourspace('cmyk').jpeg().toBuffer();
  const after = (marker: number) => cmyk.indexOf(Buffer.from([0xff, marker]));
  const [tables, frame, scan] = [after(0xdb), after(0xc0), after(0xda)];
  const end = (segment: number) => segment + 2 + cmyk.readUInt16BE(segment + 2);
  const [height, width] = direction === 'across' ? [40, 80] : [80, 40];
  const factors = direction === 'across' ? 0x21 : 0x12;
  const channels = [...[1, factors, 0], ...[2, 0x11, 0], ...[3, 0x11, 0]];
  return Buffer.concat([
    cmyk.subarray(0, 2),
    cmyk.subarray(tables, frame),
    Buffer.from([0xff, 0xc0, 0, 17, 8, 0, height, 0, width, 3, ...channels]),
    cmyk.subarray(end(frame), scan),
    Buffer.from([0xff, 0xda, 0, 12, 3, ...[1, 0, 2, 0, 3, 0], ...[0, 63, 0]]),
    cmyk.subarray(end(scan)),
  ]);
}

for (const [name, options] of [
  ['of full colour resolution', { chromaSubsampling: '4:4:4' }],
  ['of a quarter of the colour resolution', { chromaSubsampling: '4:2:0' }],
  ['compressed to a tenth of its quality', { quality: 10 }],
  ['with optimized tables', { optimizeCoding: true, quantizationTable: 3 }],
] as [string, JpegOptions][]) {
  test(`a JPEG ${name} has the bytes that sharp gives it`, async () => {
    for (const [width, height] of [
      [1, 1],
      [16, 16],
      [37, 29],
      [130, 67],
    ] as const) {
      const bytes = await jpeg(options, width, height);
      const image = decodePlainJpeg(bytes);
      assert.deepEqual([image?.width, image?.height], [width, height]);
      assert.deepEqual(Buffer.from(image!.pixels), await bySharp(bytes));
    }
  });
}

for (const direction of ['across', 'down'] as const) {
  test(`a JPEG of half the colour resolution ${direction} has the bytes that sharp gives it`, async () => {
    const bytes = await halfResolution(direction);
    const expected = await sharp(bytes, { failOn: 'warning' }).raw().toBuffer();
    assert.deepEqual(Buffer.from(decodePlainJpeg(bytes)!.pixels), expected);
  });
}

test('a grey JPEG has three equal channels', async () => {
  const bytes = await noise(21, 13, 1).toColourspace('b-w').jpeg().toBuffer();
  assert.equal((await sharp(bytes).metadata()).channels, 1);
  const { pixels } = decodePlainJpeg(bytes)!;
  const grey = await sharp(bytes).toColourspace('b-w').raw().toBuffer();
  assert.deepEqual(
    [...pixels],
    [...grey].flatMap((value) => [value, value, value]),
  );
});

test('a smaller image after a larger one has its own length', async () => {
  decodePlainJpeg(await jpeg({}, 40, 40));
  assert.equal(decodePlainJpeg(await jpeg({}, 8, 4))!.pixels.length, 96);
});

const left: [string, () => Promise<Buffer>][] = [
  ['progressive', () => jpeg({ progressive: true })],
  ['CMYK', () => noise(8, 8).toColourspace('cmyk').jpeg().toBuffer()],
  ['turned by EXIF', () => noise(8, 8).withMetadata({ orientation: 6 }).jpeg().toBuffer()],
  ['with a colour profile', () => noise(8, 8).withIccProfile('p3').jpeg().toBuffer()],
  ['cut short in its samples', async () => (await jpeg()).subarray(0, -200)],
  ['cut short in its header', async () => (await jpeg()).subarray(0, 100)],
  ['that is a PNG', () => noise(8, 8).png().toBuffer()],
  ['of no bytes', () => Promise.resolve(Buffer.alloc(0))],
];
for (const [name, make] of left) {
  test(`an image ${name} is left to sharp`, async () => {
    assert.equal(decodePlainJpeg(await make()), null);
  });
}

test('an image that claims more pixels than any photograph is left to sharp', async () => {
  const bytes = await jpeg();
  const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
  const side = Math.ceil(Math.sqrt(MOST_PIXELS)) + 1;
  bytes.writeUInt16BE(side, frame + 5);
  bytes.writeUInt16BE(side, frame + 7);
  assert.equal(plainSize(bytes), null);
});

test('a damaged JPEG is left to sharp or decoded to the bytes that sharp gives it', async () => {
  const whole = await jpeg({}, 24, 24);
  let decoded = 0;
  for (let trial = 0; trial < 500; trial++) {
    const bytes = Buffer.from(whole);
    for (let change = 0; change < 3; change++)
      bytes[random.below(bytes.length)] = random.below(256);
    const image = decodePlainJpeg(bytes);
    if (image === null) continue;
    decoded++;
    assert.deepEqual(Buffer.from(image.pixels), await bySharp(bytes));
  }
  assert.ok(decoded > 0);
});
