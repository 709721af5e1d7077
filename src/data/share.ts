/** Shares of a batch, and the gaps that examples leave in one that could not be decoded. */
import { WINDOW_NUMBERS } from '../image_views.js';
import type { BatchBuffers } from './decoder.js';

/** The run of places of a batch that is a share of it; shares differ by at most one. */
export function placesOfShare(
  count: number,
  { index, of }: { index: number; of: number } = { index: 0, of: 1 },
): { first: number; end: number } {
  return { first: Math.floor((index * count) / of), end: Math.floor(((index + 1) * count) / of) };
}

/**
 * Moves the examples after each gap up.
 *
 * @param bytes of an example's pixels
 * @returns how many examples there are
 */
export function closeGaps(
  { pixels, labels, views }: BatchBuffers,
  gaps: number[],
  count: number,
  bytes: number,
): number {
  for (const gap of gaps.toSorted((a, b) => b - a)) {
    new Uint8Array(pixels).copyWithin(gap * bytes, (gap + 1) * bytes, count * bytes);
    new Int32Array(labels).copyWithin(gap, gap + 1, count);
    if (views !== undefined) {
      const [to, from, end] = [gap, gap + 1, count].map((image) => image * WINDOW_NUMBERS);
      new Int32Array(views.windows).copyWithin(to!, from!, end);
    }
    count--;
  }
  return count;
}
