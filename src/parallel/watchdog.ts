/** Notices that workers hang. Called by the coordinator around every command. */
import type { ActivityView } from './activity.js';

/** How often to look, at least. */
const LONGEST_INTERVAL_MS = 1000;

/**
 * Awaits `work`, as long as the workers move on.
 *
 * @param timeoutMs after so long without a move of any worker, `stall` is thrown
 */
export async function unlessStalled<Result>(
  work: Promise<Result>,
  activity: ActivityView,
  timeoutMs: number,
  stall: () => Error,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    const interval = Math.min(LONGEST_INTERVAL_MS, timeoutMs / 4);
    let moves = activity.moves();
    let idleMs = 0;
    let last = performance.now();
    timer = setInterval(() => {
      const now = performance.now();
      // Of the time in which the whole process was stopped, as by Ctrl-Z, no worker is guilty.
      idleMs += Math.min(now - last, 2 * interval);
      last = now;
      if (activity.moves() !== moves) {
        moves = activity.moves();
        idleMs = 0;
      } else if (idleMs >= timeoutMs) {
        reject(stall());
      }
    }, interval);
  });
  try {
    return await Promise.race([work, stalled]);
  } finally {
    clearInterval(timer);
  }
}

/** Whether `work` settles within so many milliseconds. */
export async function settlesWithin(
  work: Promise<unknown>,
  milliseconds: number,
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds);
  });
  const settled = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([settled, late]);
  } finally {
    clearTimeout(timer);
  }
}
