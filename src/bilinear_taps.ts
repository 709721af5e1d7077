/**
 * The weights of Pillow's bilinear filter, which every device resizes by (src/data/resize.ts explains it).
 *
 * They are fixed-point numbers with 22 fractional bits, rounded half up.
 */

/** 32 bits less 8 for the pixel and 2 for the sum's headroom. */
export const FRACTION_BITS = 22;

/** For each output position, a run of input positions and their fixed-point weights. */
export interface Taps {
  /** First input position, [outputs]. */
  start: Int32Array;
  /** Length of the run, [outputs]. */
  length: Int32Array;
  /** [outputs, stride], each row summing to 2^22 to within rounding. */
  weights: Int32Array;
  stride: number;
}

export function triangleTaps(inputs: number, outputs: number): Taps {
  const scale = inputs / outputs;
  const support = Math.max(scale, 1);
  const stride = Math.ceil(support) * 2 + 1;
  const start = new Int32Array(outputs);
  const length = new Int32Array(outputs);
  const weights = new Int32Array(outputs * stride);
  for (let output = 0; output < outputs; output++) {
    const centre = (output + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(inputs, Math.trunc(centre + support + 0.5));
    const heights = Array.from({ length: end - first }, (_, tap) =>
      Math.max(0, 1 - Math.abs((first + tap - centre + 0.5) / support)),
    );
    const sum = heights.reduce((total, height) => total + height, 0);
    start[output] = first;
    length[output] = end - first;
    heights.forEach((height, tap) => {
      weights[output * stride + tap] = Math.trunc((height / sum) * 2 ** FRACTION_BITS + 0.5);
    });
  }
  return { start, length, weights, stride };
}

/**
 * The taps as kernels of GPUs read them.
 *
 * @returns int32 [outputs, 2 + n]: for each output position the first input position, the number of them, and their n weights
 */
export function tapRows(inputs: number, outputs: number): Int32Array {
  const { start, length, weights, stride } = triangleTaps(inputs, outputs);
  const rows = new Int32Array(outputs * (2 + stride));
  for (let output = 0; output < outputs; output++) {
    const own = weights.subarray(output * stride, (output + 1) * stride);
    rows.set([start[output]!, length[output]!, ...own], output * (2 + stride));
  }
  return rows;
}
