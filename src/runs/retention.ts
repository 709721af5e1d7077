/** Which checkpoints of a run stay. */

/** How many of the newest stay whatever they are. */
const NEWEST = 3;

/** A checkpoint that could be removed. */
export interface RetentionEntry {
  step: number;
  /** Whether these parameters were tested, with a finite loss. */
  isTested: boolean;
}

/**
 * The steps whose checkpoints may be removed: all but the newest three, the best, and the newest tested one,
 * which is the last that is known to be good.
 *
 * @param checkpoints in any order
 * @param best step of the best test; null before the first
 */
export function stepsToRemove(
  checkpoints: readonly RetentionEntry[],
  best: number | null,
): number[] {
  const ascending = checkpoints.toSorted((one, other) => one.step - other.step);
  const newestTested = ascending.findLast(({ isTested }) => isTested)?.step;
  return ascending
    .slice(0, -NEWEST)
    .map(({ step }) => step)
    .filter((step) => step !== best && step !== newestTested);
}
