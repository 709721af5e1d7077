/** Distributions of many numbers, as TensorBoard's histograms have them. Called by `training/tensorboard.ts`. */

export interface Histogram {
  min: number;
  max: number;
  count: number;
  sum: number;
  sumOfSquares: number;
  /** Upper ends of the buckets, ascending; the first begins at `min`, the last ends at `max`. */
  limits: number[];
  /** Values in each. */
  counts: number[];
}

/** TensorBoard draws 30 of them. */
const BUCKETS = 64;

/** @param values finite, at least one; two passes over them and no copy */
export function histogramOf(values: Float32Array): Histogram {
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  let sumOfSquares = 0;
  // By index: over an iterator V8 takes four times as long.
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    sumOfSquares += value * value;
  }
  const moments = { min, max, count: values.length, sum, sumOfSquares };
  if (min === max) return { ...moments, limits: [max], counts: [values.length] };
  const width = (max - min) / BUCKETS;
  const perBucket = BUCKETS / (max - min);
  const counts = new Uint32Array(BUCKETS);
  for (let index = 0; index < values.length; index++) {
    // The largest value would begin a bucket of its own.
    const bucket = Math.min(BUCKETS - 1, ((values[index]! - min) * perBucket) | 0);
    counts[bucket]!++;
  }
  const limits = Array.from(counts, (_, bucket) =>
    bucket === BUCKETS - 1 ? max : min + (bucket + 1) * width,
  );
  return { ...moments, limits, counts: Array.from(counts) };
}

/**
 * For each kernel the length of its last update over its own: about 1e-3 is usual, more means that the
 * learning rate is high.
 *
 * @param updates,weights of `kernels` kernels, one after another
 * @returns of the kernels that are not zero, in order
 */
export function updateRatios(
  updates: Float32Array,
  weights: Float32Array,
  kernels: number,
): Float32Array {
  const length = weights.length / kernels;
  const ratios: number[] = [];
  for (let kernel = 0; kernel < kernels; kernel++) {
    let updateSquares = 0;
    let weightSquares = 0;
    for (let index = kernel * length; index < (kernel + 1) * length; index++) {
      updateSquares += updates[index]! ** 2;
      weightSquares += weights[index]! ** 2;
    }
    if (weightSquares > 0) ratios.push(Math.sqrt(updateSquares / weightSquares));
  }
  return Float32Array.from(ratios);
}
