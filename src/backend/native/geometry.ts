/** Sizes of a convolution or a pooling, in the order in which the addon takes them (native/geometry.h). */

/** The fields of `backend_util.computeConv2DInfo` that the addon needs, NHWC. */
export interface Conv2DInfo {
  batchSize: number;
  inHeight: number;
  inWidth: number;
  inChannels: number;
  outHeight: number;
  outWidth: number;
  outChannels: number;
  filterHeight: number;
  filterWidth: number;
  strideHeight: number;
  strideWidth: number;
  dilationHeight: number;
  dilationWidth: number;
  padInfo: { top: number; left: number };
}

/**
 * Padding below and to the right is what the sizes leave; it may be less than nothing, where a stride
 * leaves some rows of x unread.
 */
export function convolutionGeometry(info: Conv2DInfo): Int32Array {
  return Int32Array.of(
    info.batchSize,
    info.inHeight,
    info.inWidth,
    info.inChannels,
    info.outHeight,
    info.outWidth,
    info.outChannels,
    info.filterHeight,
    info.filterWidth,
    info.strideHeight,
    info.strideWidth,
    info.dilationHeight,
    info.dilationWidth,
    info.padInfo.top,
    info.padInfo.left,
  );
}

/** The sizes of `backend_util.computePool2DInfo` in the same order; the filter is the window. */
export const poolGeometry = convolutionGeometry;
