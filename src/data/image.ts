import { UserError } from '../errors.js';

/** Pixels of an image: 192 MiB decoded, whatever a small file claims to unpack to. */
export const MOST_PIXELS = 1 << 26;

/** An image between the stages of decoding: 8-bit sRGB, rows from the top, three bytes a pixel. */
export interface Image {
  height: number;
  width: number;
  /** uint8 [height, width, 3]; may be longer than that. Valid until the next image is decoded. */
  pixels: Uint8Array;
}

/** An image that is not whole or of no known format: training goes on without it, within a limit. */
export class UndecodableImage extends UserError {
  constructor(
    readonly file: string,
    readonly reason: string,
  ) {
    super(
      `${file} cannot be decoded (${reason}): replace or remove it, or convert it to JPEG or PNG`,
    );
  }
}
