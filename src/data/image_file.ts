/**
 * Decodes image files: plain JPEGs as jpeg_decoder.ts does, all else with sharp (libvips). Loaded by the
 * decoders alone, and only for image files.
 *
 * sharp computes in libuv's thread pool, of which a process has one, with UV_THREADPOOL_SIZE (4)
 * threads: more decoders than that do not decode files any faster.
 */
import { readFileSync, statSync } from 'node:fs';
import sharp from 'sharp';
import { messageOf } from '../errors.js';
import { type Image, MOST_PIXELS, UndecodableImage } from './image.js';
import { decodePlainJpeg } from './jpeg_decoder.js';

// One image a decoder at a time, each seen once an epoch: threads and a cache inside libvips would
// only take cores and memory from the towers.
sharp.concurrency(1);
sharp.cache(false);

/** Bytes of a file, far above any photograph. */
const LONGEST_FILE = 1 << 28;

/**
 * How the formats begin that photographs come in. libvips would read others too by their content, such as
 * SVG, which can name other files, under any name.
 */
const SIGNATURES = [/^\xff\xd8\xff/, /^\x89PNG/, /^RIFF[^]{4}WEBP/, /^GIF8/, /^(II\*\0|MM\0\*)/];

/**
 * The upright image (EXIF orientation applied) in 8-bit sRGB, to which sharp converts grey, CMYK and
 * 16-bit images by default. An alpha channel is dropped, of an animation the first frame is taken.
 * @throws UndecodableImage where the file is missing, truncated or of no format that sharp reads
 */
export async function decodeImageFile(file: string): Promise<Image> {
  return decodeImage(readImageFile(file), file);
}

/**
 * Pixels of the upright image, by its header alone.
 * @throws UndecodableImage where that cannot be read
 */
export async function sizeOfImageFile(file: string): Promise<{ width: number; height: number }> {
  const bytes = readImageFile(file);
  refuseOtherFormats(bytes, file);
  try {
    const { autoOrient } = await sharp(bytes).metadata();
    return autoOrient;
  } catch (error) {
    throw new UndecodableImage(file, messageOf(error));
  }
}

function readImageFile(file: string): Uint8Array {
  try {
    // Read here, as sharp opens a file several times over, which costs more than decoding a small one.
    const found = statSync(file);
    // A pipe or a device under an image's name would never end.
    if (!found.isFile()) throw new Error('it is no file');
    if (found.size > LONGEST_FILE) throw new Error(`its ${found.size} bytes are no image's`);
    return readFileSync(file);
  } catch (error) {
    throw new UndecodableImage(file, messageOf(error));
  }
}

/** The same of a file's bytes. @param name what messages call it */
export async function decodeImage(bytes: Uint8Array, name: string): Promise<Image> {
  refuseOtherFormats(bytes, name);
  return decodePlainJpeg(bytes) ?? decodeWithSharp(bytes, name);
}

async function decodeWithSharp(bytes: Uint8Array, name: string): Promise<Image> {
  try {
    const { data, info } = await sharp(bytes, { failOn: 'error', limitInputPixels: MOST_PIXELS })
      .autoOrient()
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { height: info.height, width: info.width, pixels: data };
  } catch (error) {
    throw new UndecodableImage(name, messageOf(error));
  }
}

function refuseOtherFormats(bytes: Uint8Array, name: string): void {
  const start = Buffer.from(bytes.subarray(0, 12)).toString('latin1');
  if (SIGNATURES.some((signature) => signature.test(start))) return;
  throw new UndecodableImage(name, 'it does not begin as a JPEG, PNG, WebP, GIF or TIFF does');
}
