/**
 * Decodes plain JPEGs, of which data sets are full, with libjpeg-turbo, through an addon that set-up compiles
 * (native/jpeg_decoder.cc).
 *
 * The pixels are exactly those of sharp, in a quarter to a third of the time. Other JPEGs, and all of them if the addon
 * could not be built, are left to sharp.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Size } from '../image_views.js';
import { addonPlaces, notLoaded, recordedReason } from '../set_up_parts.js';
import { type Image, MOST_PIXELS } from './image.js';

interface JpegAddon {
  /** Its version, e.g. `2.1.5`. */
  libjpegTurbo: string;
  /**
   * @param bytes a JPEG of one or three channels @param out uint8 [height, width, 3]; may be longer
   * @returns whether it is whole, without anything to warn of, and of that size; where not, `out` may be
   *   written in part
   */
  decode(bytes: Uint8Array, height: number, width: number, out: Uint8Array): boolean;
}

const { file: addonFile, unavailable } = addonPlaces('jpeg_decoder');

/** Of this thread; null: set-up could not build it, or it does not load. */
let addon: JpegAddon | null | undefined;
let loadingFailure: unknown;

function loadAddon(): JpegAddon | null {
  if (addon !== undefined) return addon;
  addon = null;
  if (existsSync(addonFile)) {
    try {
      addon = createRequire(import.meta.url)(addonFile) as JpegAddon;
    } catch (error) {
      loadingFailure = error;
    }
  }
  return addon;
}

/** libjpeg-turbo's version; null where sharp decodes JPEGs. */
export function libjpegTurboVersion(): string | null {
  return loadAddon()?.libjpegTurbo ?? null;
}

/** A warning of one line that sharp decodes JPEGs, with the reason and the remedy; null if libjpeg-turbo does. */
export function slowJpegWarning(): string | null {
  if (loadAddon() !== null) return null;
  const reason =
    loadingFailure === undefined ? recordedReason(unavailable) : notLoaded(loadingFailure);
  return `no libjpeg-turbo, so sharp decodes JPEGs, to the same pixels in four times the time: ${reason}`;
}

// Grown to the largest image met; reused so that decoding does not allocate.
let pixels = new Uint8Array(0);

/** The image in 8-bit sRGB; null where sharp must see to it: see `plainSize`, and damaged files. */
export function decodePlainJpeg(bytes: Uint8Array): Image | null {
  const decoder = loadAddon();
  if (decoder === null) return null;
  const size = plainSize(bytes);
  if (size === null) return null;
  const { height, width } = size;
  const length = height * width * 3;
  if (pixels.length < length) pixels = new Uint8Array(length);
  if (!decoder.decode(bytes, height, width, pixels)) return null;
  return { height, width, pixels: pixels.subarray(0, length) };
}

const START_OF_IMAGE = 0xd8;
const START_OF_SCAN = 0xda;
const END_OF_IMAGE = 0xd9;
/** Baseline and extended sequential, Huffman-coded. */
const SEQUENTIAL_FRAMES = [0xc0, 0xc1];
/** Progressive, Huffman-coded. */
const PROGRESSIVE_FRAME = 0xc2;
const APPLICATION_1 = 0xe1;
const APPLICATION_2 = 0xe2;
const APPLICATION_14 = 0xee;

/** Bytes of a frame's segment before its components, and of each of those, whose first byte is its name. */
const FRAME_BYTES = 6;
const COMPONENT_BYTES = 3;

/**
 * Pixels of a JPEG that is nothing but its samples: sequential, 8 bits, grey or of three channels, without
 * EXIF data, which may turn it, and without a colour profile. null of anything else.
 */
export function plainSize(bytes: Uint8Array): Size | null {
  const header = plainHeader(bytes);
  return header === null || header.isProgressive ? null : header.size;
}

/** Whether the last bytes mark the end of the image. */
export function hasEnd(bytes: Uint8Array): boolean {
  return bytes.at(-2) === 0xff && bytes.at(-1) === END_OF_IMAGE;
}

/** What the segments before the first scan of a plain JPEG say. */
interface PlainHeader {
  size: Size;
  isProgressive: boolean;
  /** Whether its three channels are red, green and blue, rather than luminance and chrominance. */
  isRgb: boolean;
}

/**
 * The header of a JPEG that is nothing but its samples, as for `plainSize`, or progressive. null of anything else.
 *
 * Goes through the segments before the first scan: 0xff, marker, and from there on the length, which
 * counts its own two bytes (ITU-T T.81, B.1.1.4).
 */
export function plainHeader(bytes: Uint8Array): PlainHeader | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes[0] !== 0xff || bytes[1] !== START_OF_IMAGE) return null;
  let header: PlainHeader | null = null;
  let isMarkedRgb = false;
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1]!;
    if (marker === START_OF_SCAN) {
      return header && { ...header, isRgb: header.isRgb || isMarkedRgb };
    }
    const length = view.getUint16(at + 2);
    const end = at + 2 + length;
    if (length < 2 || end > bytes.length) return null;
    if (SEQUENTIAL_FRAMES.includes(marker) || marker === PROGRESSIVE_FRAME) {
      header = frameIn(bytes.subarray(at + 4, end), marker === PROGRESSIVE_FRAME);
      if (header === null) return null;
    } else if (marker < 0xc0 || isOtherFrame(marker)) {
      return null;
    } else if (marker === APPLICATION_1 || marker === APPLICATION_2) {
      const isPlain = !startsWith(bytes, at + 4, 'Exif\0') && !startsWith(bytes, at + 4, 'ICC_');
      if (!isPlain) return null;
    } else if (marker === APPLICATION_14 && startsWith(bytes, at + 4, 'Adobe')) {
      // Its last byte names the transformation of colours; 0 is none.
      isMarkedRgb = bytes[at + 4 + 11] === 0;
    }
    at = end;
  }
  return null;
}

/** @param frame bits per sample, height, width, number of components, and the components */
function frameIn(frame: Uint8Array, isProgressive: boolean): PlainHeader | null {
  if (frame.length < FRAME_BYTES || frame[0] !== 8) return null;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const [height, width, components] = [view.getUint16(1), view.getUint16(3), frame[5]!];
  const isColoured = components === 1 || components === 3;
  if (!isColoured || height * width === 0 || height * width > MOST_PIXELS) return null;
  const names = [0, 1, 2].map((index) => frame[FRAME_BYTES + index * COMPONENT_BYTES]);
  const isRgb =
    components === 3 && String.fromCharCode(...names.map((name) => name ?? 0)) === 'RGB';
  return { size: { height, width }, isProgressive, isRgb };
}

/** SOF3 … SOF15; between them lie the tables of Huffman (c4) and arithmetic (cc) codes and JPG (c8). */
function isOtherFrame(marker: number): boolean {
  return marker >= 0xc3 && marker <= 0xcf && marker !== 0xc4;
}

function startsWith(bytes: Uint8Array, at: number, text: string): boolean {
  return [...text].every((letter, offset) => bytes[at + offset] === letter.charCodeAt(0));
}
