/**
 * Long series as few points, so that a report of a million steps stays as small as one of a thousand.
 * Called by the report.
 */

/** A value that was measured at a step. */
export interface Measured {
  step: number;
  value: number;
}

/**
 * At most `most` points, each the means of a run of neighbouring steps and values; the runs are of equal
 * length, but for the last. A value that is not finite leaves its place empty (NaN), so that a curve
 * breaks there.
 *
 * @param points ascending by step
 */
export function thinned(points: readonly Measured[], most: number): Measured[] {
  const length = Math.ceil(points.length / most);
  if (length <= 1) return [...points];
  const means: Measured[] = [];
  for (let begin = 0; begin < points.length; begin += length) {
    const group = points.slice(begin, begin + length);
    means.push({
      step: mean(group.map(({ step }) => step)),
      value: mean(group.map(({ value }) => value)),
    });
  }
  return means;
}

/** NaN of no values. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
