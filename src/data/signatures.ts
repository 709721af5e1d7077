/** Image formats by the first bytes of a file. Names are no proof: data sets have PNGs called `.JPEG`. */
import { closeSync, openSync, readSync } from 'node:fs';

/** How many bytes the signatures look at. */
const LENGTH = 32;

/**
 * The formats that are decoded. libvips would recognize others too, such as SVG, which can name other files.
 *
 * A BMP's two letters begin many a text, so the size of its second header (12, 40, 52, 56, 108 or 124 bytes, here as
 * letters) is looked at as well.
 */
const SIGNATURES: Record<string, RegExp> = {
  jpeg: /^\xff\xd8\xff/,
  png: /^\x89PNG/,
  webp: /^RIFF[^]{4}WEBP/,
  gif: /^GIF8/,
  tiff: /^(II\*\0|MM\0\*)/,
  bmp: /^BM[^]{12}[\f(48l|]\0\0\0/,
  avif: /^[^]{4}ftypavi[fs]/,
};

/** What to convert other images to, and what is decoded. */
export const FORMATS = 'JPEG, PNG, WebP, GIF, TIFF, BMP or AVIF';

/** @returns the key of `SIGNATURES`; null if the bytes begin like no image */
export function formatOf(bytes: Uint8Array): string | null {
  const start = Buffer.from(bytes.subarray(0, LENGTH)).toString('latin1');
  const known = Object.entries(SIGNATURES).find(([, signature]) => signature.test(start));
  return known?.[0] ?? null;
}

/** Whether a file begins like an image. A file that cannot be read does not. */
export function beginsLikeAnImage(file: string): boolean {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const start = new Uint8Array(LENGTH);
    readSync(descriptor, start);
    return formatOf(start) !== null;
  } catch {
    return false;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
