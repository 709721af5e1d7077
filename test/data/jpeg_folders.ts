/** JPEGs of all kinds, fresh for each test: of many sizes, and such as decoders refuse. */
import { randomBytes, randomInt } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp, { type JpegOptions, type Sharp } from 'sharp';

/** Noise of any size. */
function noise(channels: 1 | 3 = 3): Sharp {
  const [width, height] = [randomInt(1, 90), randomInt(1, 90)];
  return sharp(randomBytes(width * height * channels), { raw: { width, height, channels } });
}

const colour = (options: JpegOptions) => noise().jpeg(options).toBuffer();

type Makers = Record<string, () => Promise<Buffer>>;

/** Those that nvJPEG decodes. */
export const PLAIN: Makers = {
  'of full colour resolution': () => colour({ chromaSubsampling: '4:4:4' }),
  'of a quarter of the colour resolution': () => colour({ chromaSubsampling: '4:2:0' }),
  progressive: () => colour({ progressive: true }),
  grey: () => noise(1).toColourspace('b-w').jpeg().toBuffer(),
};

/** Those that are left to the CPU, which decodes them. */
export const OTHER: Makers = {
  'of four channels': () => noise().toColourspace('cmyk').jpeg().toBuffer(),
  'turned by EXIF': () => noise().withMetadata({ orientation: 6 }).jpeg().toBuffer(),
  'with a colour profile': () => noise().withIccProfile('p3').jpeg().toBuffer(),
  'whose channels are red, green and blue': async () => withComponentNames(await colour({}), 'RGB'),
  'without its last two bytes': async () => (await colour({})).subarray(0, -2),
  'that is a PNG': () => noise().png().toBuffer(),
};

/** Those that nobody decodes. */
export const DAMAGED: Makers = {
  'cut short': async () => {
    const whole = await colour({ quality: 100 });
    return whole.subarray(0, Math.floor(whole.length * 0.9));
  },
  'cut short and ended': async () => {
    const whole = await colour({ quality: 100 });
    const part = whole.subarray(0, Math.floor(whole.length * 0.9));
    return Buffer.concat([part, Buffer.from([0xff, 0xd9])]);
  },
  'that is none': () => Promise.resolve(Buffer.from('no image')),
};

/** Two classes of `count` images each in both splits, of these kinds in turn. */
export async function writeJpegFolder(
  folder: string,
  count: number,
  kinds: Makers,
): Promise<string> {
  const makers = Object.values(kinds);
  let next = 0;
  for (const split of ['train', 'test']) {
    for (const name of ['a', 'b']) {
      mkdirSync(path.join(folder, split, name), { recursive: true });
      for (let index = 0; index < count; index++) {
        const bytes = await makers[next++ % makers.length]!();
        writeFileSync(path.join(folder, split, name, `${index}.jpg`), bytes);
      }
    }
  }
  return folder;
}

/** A JPEG of three channels whose frame and scan name them otherwise. */
function withComponentNames(jpeg: Buffer, names: string): Buffer {
  const bytes = Buffer.from(jpeg);
  const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
  const scan = bytes.indexOf(Buffer.from([0xff, 0xda]));
  for (const [index, letter] of [...names].entries()) {
    bytes[frame + 10 + 3 * index] = letter.charCodeAt(0);
    bytes[scan + 5 + 2 * index] = letter.charCodeAt(0);
  }
  return bytes;
}
