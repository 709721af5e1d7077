/** Functions of the GPUs' addon that make the network's input. Arrays are the device's unless stated otherwise. */

export interface InputFunctions {
  /**
   * out = table[what a window shows of each image], minus the mean image, plus the image's colour.
   *
   * @param bytes uint8 [batch, sourceHeight, sourceWidth, 3]; may be longer
   * @param windows int32 [batch, 5], as in `ImageViews`; null if `bytes` is of the size of `out`
   * @param rowTaps int32 [resizedHeight, 2 + n]: first position, number of them, their n weights; null without windows
   * @param columnTaps the same of columns
   * @param table float32 [256, 3]
   * @param mean float32 [outHeight, outWidth, 3]; null subtracts nothing
   * @param colours float32 [batch, 3]; null adds nothing
   * @param sizes [batch, sourceHeight, sourceWidth, resizedHeight, resizedWidth, outHeight, outWidth]
   * @param cutsSource whether windows are cut from the images before they are resized
   * @param out float32 [batch, outHeight, outWidth, 3]
   */
  imagesFromViews(
    bytes: object,
    windows: object | null,
    rowTaps: object | null,
    columnTaps: object | null,
    table: object,
    mean: object | null,
    colours: object | null,
    sizes: readonly number[],
    cutsSource: boolean,
    out: object,
  ): void;
}
