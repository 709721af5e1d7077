/**
 * Long series reduced to few points, so that a report of a million steps is as small as one of a thousand.
 */

/** A value that was measured at a step. */
export interface Measured {
  step: number;
  value: number;
}

/**
 * Reduces a series to at most `most` points, each the mean of a group of neighbours. All groups but the last
 * have the same length. A group with a value that is not finite becomes NaN, where the curve breaks.
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

/** NaN if there are no values. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
