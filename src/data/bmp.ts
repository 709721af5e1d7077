/**
 * Decodes Windows bitmaps, which the libvips of sharp does not read: 1, 4, 8, 16, 24 and 32 bits per pixel,
 * uncompressed.
 *
 *     "BM", file size, 4 reserved bytes, uint32 start of the pixels
 *     uint32 size of this header (12: the oldest form), width, height (negative: rows from the top), 1 plane,
 *     bits per pixel, compression (0: none, 3 or 6: colour masks), …, colours in the palette
 *     the masks or the palette (blue, green, red, 0), then the rows, each padded to 4 bytes, from the bottom
 */
import { type Image, MOST_PIXELS } from './image.js';

/** Size of the oldest header, in which numbers have 16 bits and palette entries 3 bytes. */
const CORE_HEADER = 12;
/** Values of the header's compression field. */
const UNCOMPRESSED = 0;
const MASKED = [3, 6];

interface Header {
  width: number;
  height: number;
  isTopDown: boolean;
  bits: number;
  /** Where the palette begins, and the bytes of an entry. */
  palette: number;
  entry: number;
  /** Red, green and blue in a pixel of 16 or 32 bits. */
  masks: number[];
  pixels: number;
}

/** @throws Error saying what is wrong, without the file's name */
export function decodeBmp(bytes: Uint8Array): Image {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = readHeader(view);
  const { width, height, bits, isTopDown } = header;
  const stride = Math.floor((width * bits + 31) / 32) * 4;
  if (header.pixels + stride * height > bytes.length) throw new Error('it is cut short');
  const pixels = new Uint8Array(width * height * 3);
  const colourAt = bits <= 8 ? palette(view, header) : direct(view, header);
  for (let row = 0; row < height; row++) {
    const line = header.pixels + stride * (isTopDown ? row : height - 1 - row);
    for (let column = 0; column < width; column++) {
      const [red, green, blue] = colourAt(line, column);
      const at = (row * width + column) * 3;
      pixels[at] = red;
      pixels[at + 1] = green;
      pixels[at + 2] = blue;
    }
  }
  return { width, height, pixels };
}

function readHeader(view: DataView): Header {
  if (view.byteLength < 26) throw new Error('it is cut short');
  const pixels = view.getUint32(10, true);
  const size = view.getUint32(14, true);
  const isCore = size === CORE_HEADER;
  if (!isCore && view.byteLength < 54) throw new Error('it is cut short');
  const width = isCore ? view.getUint16(18, true) : view.getInt32(18, true);
  const signed = isCore ? view.getUint16(20, true) : view.getInt32(22, true);
  const bits = view.getUint16(isCore ? 24 : 28, true);
  const compression = isCore ? UNCOMPRESSED : view.getUint32(30, true);
  const height = Math.abs(signed);
  if (width <= 0 || height === 0 || width * height > MOST_PIXELS) {
    throw new Error(`its size of ${width}×${height} pixels is impossible or too large`);
  }
  const isMasked = MASKED.includes(compression);
  if (compression !== UNCOMPRESSED && !isMasked) throw new Error('it is a compressed BMP');
  if (![1, 4, 8, 16, 24, 32].includes(bits)) throw new Error(`it has ${bits} bits per pixel`);
  const standard = bits === 16 ? [0x7c00, 0x3e0, 0x1f] : [0xff0000, 0xff00, 0xff];
  const masks = isMasked
    ? [54, 58, 62].map((at) => (at + 4 <= view.byteLength ? view.getUint32(at, true) : 0))
    : standard;
  return {
    width,
    height,
    isTopDown: signed < 0,
    bits,
    palette: 14 + size,
    entry: isCore ? 3 : 4,
    masks,
    pixels,
  };
}

type ColourAt = (line: number, column: number) => [number, number, number];

function palette(view: DataView, { bits, palette, entry }: Header): ColourAt {
  const perByte = 8 / bits;
  return (line, column) => {
    const byte = view.getUint8(line + Math.floor(column / perByte));
    const index = (byte >> (8 - bits * ((column % perByte) + 1))) & ((1 << bits) - 1);
    const at = palette + index * entry;
    if (at + 3 > view.byteLength) throw new Error('it is cut short');
    return [view.getUint8(at + 2), view.getUint8(at + 1), view.getUint8(at)];
  };
}

function direct(view: DataView, { bits, masks }: Header): ColourAt {
  if (bits === 24) {
    return (line, column) => {
      const at = line + column * 3;
      return [view.getUint8(at + 2), view.getUint8(at + 1), view.getUint8(at)];
    };
  }
  const scaled = (pixel: number, channel: number): number => {
    const mask = masks[channel]!;
    if (mask === 0) return 0;
    const lowest = mask & -mask;
    return Math.round(
      (((pixel & mask) >>> 0) / (lowest >>> 0) / ((mask >>> 0) / (lowest >>> 0))) * 255,
    );
  };
  return (line, column) => {
    const pixel =
      bits === 16
        ? view.getUint16(line + column * 2, true)
        : view.getUint32(line + column * 4, true);
    return [scaled(pixel, 0), scaled(pixel, 1), scaled(pixel, 2)];
  };
}
