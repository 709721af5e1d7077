/** Distributions of many numbers, in the form of TensorBoard's histograms. */

export interface Histogram {
  min: number;
  max: number;
  count: number;
  sum: number;
  sumOfSquares: number;
  /** Upper ends of the buckets, ascending; the first begins at `min`, the last ends at `max`. */
  limits: number[];
  /** Number of values per bucket. */
  counts: number[];
}

/** TensorBoard draws 30 buckets. */
const BUCKETS = 64;

/** @param values finite, at least one; read twice, not copied */
export function histogramOf(values: Float32Array): Histogram {
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  let sumOfSquares = 0;
  // By index, because an iterator takes V8 four times as long.
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
    // Otherwise the largest value would start a bucket of its own.
    const bucket = Math.min(BUCKETS - 1, ((values[index]! - min) * perBucket) | 0);
    counts[bucket]!++;
  }
  const limits = Array.from(counts, (_, bucket) =>
    bucket === BUCKETS - 1 ? max : min + (bucket + 1) * width,
  );
  return { ...moments, limits, counts: Array.from(counts) };
}

/**
 * The norm of each kernel's last update divided by the norm of the kernel. About 1e-3 is usual; more means that
 * the learning rate is high.
 *
 * @param updates,weights those of `kernels` kernels, one after the other
 * @returns one ratio per kernel that is not zero, in order
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
