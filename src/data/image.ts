/** A decoded image, and the error of one that cannot be decoded. */
import { UserError } from '../errors.js';

/** Most pixels of an image: 192 MiB decoded, however small its file is. */
export const MOST_PIXELS = 1 << 26;

/** An image in 8-bit sRGB, rows from the top, three bytes per pixel. */
export interface Image {
  height: number;
  width: number;
  /** uint8 [height, width, 3]; may be longer than that. Valid until the next image is decoded. */
  pixels: Uint8Array;
}

/** An image is damaged or of an unknown format. Training continues without it, within a limit. */
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
