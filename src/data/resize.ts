/**
 * Bilinear resizing with exactly Pillow's result, because the reference implementation resizes Pillow images with
 * `torchvision.transforms.Resize`. sharp's own resize (libvips) rounds and centres differently.
 *
 * Pillow's method (`Image.resize(size, BILINEAR)`) is a triangle filter, widened by the scale when shrinking
 * (antialiasing). It filters along rows, then along columns, with 8-bit values in between. Weights are fixed-point
 * numbers with 22 fractional bits, rounded half up.
 */

import { FRACTION_BITS, type Taps, triangleTaps } from '../bilinear_taps.js';

const HALF = 1 << (FRACTION_BITS - 1);

/** Resizes images of one size to another; keeps its weights and its intermediate rows. */
export class BilinearResizer {
  private readonly columns: Taps;
  private readonly rows: Taps;
  /** uint8 [inHeight, outWidth, 3]: the image after the pass along rows. */
  private readonly narrowed: Uint8Array;
  /** One output row of fixed-point sums. */
  private readonly sums: Int32Array;

  /** All sizes in pixels, at least 1. */
  constructor(
    readonly inHeight: number,
    readonly inWidth: number,
    readonly outHeight: number,
    readonly outWidth: number,
  ) {
    this.columns = triangleTaps(inWidth, outWidth);
    this.rows = triangleTaps(inHeight, outHeight);
    this.narrowed = new Uint8Array(inHeight * outWidth * 3);
    this.sums = new Int32Array(outWidth * 3);
  }

  /** @param pixels uint8 [inHeight, inWidth, 3] @param out uint8 [outHeight, outWidth, 3] */
  resize(pixels: Uint8Array, out: Uint8Array): void {
    this.resizeRows(pixels);
    this.resizeColumns(out);
  }

  private resizeRows(pixels: Uint8Array): void {
    const { start, length, weights, stride } = this.columns;
    const { inHeight, inWidth, outWidth, narrowed } = this;
    let position = 0;
    for (let row = 0; row < inHeight; row++) {
      for (let column = 0; column < outWidth; column++) {
        let red = HALF;
        let green = HALF;
        let blue = HALF;
        let source = (row * inWidth + start[column]!) * 3;
        const end = column * stride + length[column]!;
        for (let tap = column * stride; tap < end; tap++, source += 3) {
          const weight = weights[tap]!;
          red += Math.imul(pixels[source]!, weight);
          green += Math.imul(pixels[source + 1]!, weight);
          blue += Math.imul(pixels[source + 2]!, weight);
        }
        narrowed[position] = red >> FRACTION_BITS;
        narrowed[position + 1] = green >> FRACTION_BITS;
        narrowed[position + 2] = blue >> FRACTION_BITS;
        position += 3;
      }
    }
  }

  private resizeColumns(out: Uint8Array): void {
    const { start, length, weights, stride } = this.rows;
    const { outHeight, narrowed, sums } = this;
    const rowBytes = sums.length;
    for (let row = 0; row < outHeight; row++) {
      const first = start[row]! * rowBytes;
      const target = row * rowBytes;
      if (length[row] === 2) {
        // Every inner row when enlarging.
        const weight0 = weights[row * stride]!;
        const weight1 = weights[row * stride + 1]!;
        const second = first + rowBytes;
        for (let byte = 0; byte < rowBytes; byte++) {
          const above = Math.imul(narrowed[first + byte]!, weight0);
          const below = Math.imul(narrowed[second + byte]!, weight1);
          out[target + byte] = (above + below + HALF) >> FRACTION_BITS;
        }
        continue;
      }
      sums.fill(HALF);
      for (let tap = 0; tap < length[row]!; tap++) {
        const weight = weights[row * stride + tap]!;
        const source = first + tap * rowBytes;
        for (let byte = 0; byte < rowBytes; byte++) {
          sums[byte]! += Math.imul(narrowed[source + byte]!, weight);
        }
      }
      for (let byte = 0; byte < rowBytes; byte++) out[target + byte] = sums[byte]! >> FRACTION_BITS;
    }
  }
}
