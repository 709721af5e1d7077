/**
 * Decodes image files with sharp (libvips). Loaded by the decoders alone, and only for image files.
 *
 * sharp computes in libuv's thread pool, of which a process has one, with UV_THREADPOOL_SIZE (4)
 * threads: more decoders than that do not decode files any faster.
 */
import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { messageOf } from '../errors.js';
import { type Image, UndecodableImage } from './image.js';

// One image a decoder at a time, each seen once an epoch: threads and a cache inside libvips would
// only take cores and memory from the towers.
sharp.concurrency(1);
sharp.cache(false);

/**
 * The upright image (EXIF orientation applied) in 8-bit sRGB, to which sharp converts grey, CMYK and
 * 16-bit images by default. An alpha channel is dropped, of an animation the first frame is taken.
 * @throws UndecodableImage where the file is missing, truncated or of no format that sharp reads
 */
export async function decodeImageFile(file: string): Promise<Image> {
  let bytes: Uint8Array;
  try {
    // Read here, as sharp opens a file several times over, which costs more than decoding a small one.
    bytes = readFileSync(file);
  } catch (error) {
    throw new UndecodableImage(file, messageOf(error));
  }
  return decodeImage(bytes, file);
}

/** The same of a file's bytes. @param name what messages call it */
export async function decodeImage(bytes: Uint8Array, name: string): Promise<Image> {
  try {
    const { data, info } = await sharp(bytes, { failOn: 'error' })
      .autoOrient()
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { height: info.height, width: info.width, pixels: data };
  } catch (error) {
    throw new UndecodableImage(name, messageOf(error));
  }
}
