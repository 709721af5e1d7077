/**
 * Decodes image files: plain JPEGs with libjpeg-turbo, bitmaps with bmp.ts, everything else with sharp (libvips).
 *
 * sharp computes in libuv's thread pool, of which a process has one, with UV_THREADPOOL_SIZE (4) threads. More
 * decoders than that do not decode such files any faster.
 */
import { readFileSync, statSync } from 'node:fs';
import sharp from 'sharp';
import { messageOf } from '../errors.js';
import { decodeBmp } from './bmp.js';
import { type Image, MOST_PIXELS, UndecodableImage } from './image.js';
import { decodePlainJpeg, hasEnd } from './jpeg_decoder.js';
import { FORMATS, formatOf } from './signatures.js';

// Decoders work on one image each, and each image is seen once per epoch. Threads and a cache inside libvips would
// only take cores and memory from the towers.
sharp.concurrency(1);
sharp.cache(false);

/** Bytes of a file, far above any photograph. */
const LONGEST_FILE = 1 << 28;

/** What transparent areas show, unless the configuration says otherwise: viewers show white. */
const WHITE: Colour = [255, 255, 255];

/** Red, green and blue, 0 to 255. */
export type Colour = readonly [number, number, number];

/**
 * Decodes a file to an upright image (EXIF orientation applied) in 8-bit sRGB. Grey, CMYK and 16-bit images are
 * converted, transparent areas show the background, and an animation gives its first frame.
 *
 * @throws UndecodableImage if the file is missing, truncated, of an unknown format, or has samples whose range is
 *   unknown
 */
export async function decodeImageFile(file: string, background?: Colour): Promise<Image> {
  return decodeImage(readImageFile(file), file, background);
}

/**
 * Size of the upright image in pixels, from its header.
 * @throws UndecodableImage if that cannot be read
 */
export async function sizeOfImageFile(file: string): Promise<{ width: number; height: number }> {
  const bytes = readImageFile(file);
  return formatIn(bytes, file) === 'bmp'
    ? inBmp(file, () => decodeBmp(bytes))
    : sizeOfImage(bytes, file);
}

async function sizeOfImage(
  bytes: Uint8Array,
  file: string,
): Promise<{ width: number; height: number }> {
  try {
    const { autoOrient } = await sharp(bytes).metadata();
    return autoOrient;
  } catch (error) {
    throw new UndecodableImage(file, messageOf(error));
  }
}

/** @throws UndecodableImage if it is missing, no file or far too long */
export function readImageFile(file: string): Uint8Array {
  try {
    // Read here, because sharp opens a file several times, which costs more than decoding a small one.
    const found = statSync(file, { throwIfNoEntry: false });
    if (found === undefined) throw new Error('there is no such file');
    // A pipe or a device under an image's name would never end.
    if (!found.isFile()) throw new Error('it is no file');
    if (found.size > LONGEST_FILE) throw new Error(`its ${found.size} bytes are no image's`);
    return readFileSync(file);
  } catch (error) {
    throw new UndecodableImage(file, messageOf(error));
  }
}

/**
 * Decodes the bytes of a file; see `decodeImageFile`.
 * @param name what messages call it
 */
export async function decodeImage(
  bytes: Uint8Array,
  name: string,
  background: Colour = WHITE,
): Promise<Image> {
  const format = formatIn(bytes, name);
  if (format === 'bmp') return inBmp(name, () => decodeBmp(bytes));
  const plain = decodePlainJpeg(bytes) ?? (format === 'jpeg' ? withEnd(bytes) : null);
  return plain ?? decodeWithSharp(bytes, name, format, background);
}

/** A JPEG that lacks nothing but its last two bytes, which end it. Viewers show it whole. */
function withEnd(bytes: Uint8Array): Image | null {
  if (hasEnd(bytes)) return null;
  return decodePlainJpeg(Buffer.concat([bytes, Buffer.from([0xff, 0xd9])]));
}

function inBmp<Result>(name: string, decode: () => Result): Result {
  try {
    return decode();
  } catch (error) {
    throw new UndecodableImage(name, messageOf(error));
  }
}

async function decodeWithSharp(
  bytes: Uint8Array,
  name: string,
  format: string,
  [r, g, b]: Colour,
): Promise<Image> {
  try {
    const image = sharp(bytes, { failOn: 'error', limitInputPixels: MOST_PIXELS });
    if (format === 'tiff') refuseUnknownRange((await image.metadata()).depth);
    const { data, info } = await image
      .autoOrient()
      .flatten({ background: { r, g, b } })
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { height: info.height, width: info.width, pixels: data };
  } catch (error) {
    throw new UndecodableImage(name, messageOf(error));
  }
}

/** Whether 1.0, 255 or another value is white in a floating-point or 32-bit TIFF, no rule says. */
function refuseUnknownRange(depth: string | undefined): void {
  if (depth === 'uchar' || depth === 'ushort') return;
  throw new Error(`the range of its ${depth} samples is unknown; only 8 and 16 bits are scaled`);
}

function formatIn(bytes: Uint8Array, name: string): string {
  const format = formatOf(bytes);
  if (format !== null) return format;
  throw new UndecodableImage(name, `it does not begin like ${FORMATS}`);
}
