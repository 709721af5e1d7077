/** An image between the stages of decoding: 8-bit sRGB, rows from the top, three bytes a pixel. */
export interface Image {
  height: number;
  width: number;
  /** uint8 [height, width, 3]; may be longer than that. Valid until the next image is decoded. */
  pixels: Uint8Array;
}
