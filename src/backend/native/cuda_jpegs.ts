/** Functions of the GPUs' addon that decode JPEGs, for threads that do nothing else on their GPU. Arrays are the host's. */

/** nvJPEG, as it was found. */
export interface NvJpeg {
  /** Such as `13.0`. */
  version: string;
  file: string;
}

export interface JpegFunctions {
  /** Opens nvJPEG; fails, with the remedy, if it is missing or too old. */
  nvjpeg(): NvJpeg;
  /**
   * The calling thread decodes JPEGs on this GPU from now on.
   *
   * @param source text of the kernels
   */
  openJpegs(ordinal: number, source: string): void;
  /**
   * Decodes a file to an image in the GPU's memory, in place of the one before.
   *
   * @returns false if nvJPEG does not decode such a file, or takes it for one of another size
   */
  decodeJpeg(bytes: Uint8Array, height: number, width: number): boolean;
  /**
   * What a window shows of the image that was decoded last.
   *
   * @param window int32 [5], as in `ImageViews`
   * @param rowTaps int32 [resizedHeight, 2 + n], from `tapRows`
   * @param columnTaps the same of columns
   * @param sizes [resizedHeight, resizedWidth, outHeight, outWidth]
   * @param cutsSource whether the window is cut from the image before it is resized
   * @param out uint8 [outHeight, outWidth, 3]; it has the values when the function returns
   */
  viewJpeg(
    window: Int32Array,
    rowTaps: Int32Array,
    columnTaps: Int32Array,
    sizes: readonly number[],
    cutsSource: boolean,
    out: Uint8Array,
  ): void;
}
