/** Order statistics of repeated timings. */

export interface Spread {
  median: number;
  p10: number;
  p90: number;
}

/** @param samples at least one; quantiles are interpolated linearly between neighbours, as NumPy does */
export function spreadOf(samples: number[]): Spread {
  return {
    median: quantile(samples, 0.5),
    p10: quantile(samples, 0.1),
    p90: quantile(samples, 0.9),
  };
}

export function quantile(samples: number[], fraction: number): number {
  if (samples.length === 0) throw new RangeError('quantile of no samples');
  const sorted = [...samples].sort((one, other) => one - other);
  const position = fraction * (sorted.length - 1);
  const below = sorted[Math.floor(position)]!;
  const above = sorted[Math.ceil(position)]!;
  return below + (above - below) * (position - Math.floor(position));
}
