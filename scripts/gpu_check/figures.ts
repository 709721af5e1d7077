/** What a part of the GPU check measures, what is asked of it, and what becomes of the part. */
import { messageOf } from '../../src/errors.js';

/** A range of numbers; either end may be open. */
export interface Limit {
  atLeast?: number;
  atMost?: number;
}

/** One line of a part's report. */
export interface Figure {
  name: string;
  value: number | string;
  unit?: string;
  /** What is required: the part fails unless the value is within. */
  bound?: Limit;
  /** What the project aims at. It is printed beside the value and decides nothing. */
  target?: Limit;
}

/** Hears each figure as soon as it is measured, so that a part that is cut off still leaves those. */
export type Report = (figure: Figure) => void;

/** A part has no way to run here. Its message says why. */
export class Skipped extends Error {}

export interface Outcome {
  state: 'passed' | 'failed' | 'skipped';
  /** Why it failed or was skipped; null if it passed. */
  reason: string | null;
}

/** Whether a number is within a limit. NaN never is. */
export function isWithin(
  value: number,
  { atLeast = -Infinity, atMost = Infinity }: Limit,
): boolean {
  return value >= atLeast && value <= atMost;
}

/** Whether a figure is what is required. */
export function isGood({ value, bound }: Figure): boolean {
  return bound === undefined || (typeof value === 'number' && isWithin(value, bound));
}

/**
 * Runs a part to its end.
 *
 * @param work what the part does
 * @param report hears its figures
 * @returns failed if `work` throws, if a figure is out of bounds, or if there is no figure
 */
export async function outcomeOf(
  work: (report: Report) => Promise<void>,
  report: Report,
): Promise<Outcome> {
  const figures: Figure[] = [];
  try {
    await work((figure) => {
      figures.push(figure);
      report(figure);
    });
  } catch (error) {
    const state = error instanceof Skipped ? 'skipped' : 'failed';
    return { state, reason: messageOf(error) };
  }
  if (figures.length === 0) return { state: 'failed', reason: 'it measured nothing' };
  const bad = figures.filter((figure) => !isGood(figure)).map(({ name }) => name);
  if (bad.length === 0) return { state: 'passed', reason: null };
  return { state: 'failed', reason: `out of bounds: ${bad.join('; ')}` };
}
