/** Ways to end a wait for the workers: nobody makes progress, time is up, or the caller has asked to stop. */
import type { ActivityView } from './activity.js';

/** Longest time between two looks at the workers, milliseconds. */
const LONGEST_INTERVAL_MS = 1000;

/**
 * Awaits `work` for as long as some worker makes progress.
 *
 * @param limitMs throws `stall()` after this many milliseconds without progress of any worker; it may change
 */
export async function unlessStalled<Result>(
  work: Promise<Result>,
  activity: ActivityView,
  limitMs: () => number,
  stall: () => Error,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    const interval = Math.min(LONGEST_INTERVAL_MS, limitMs() / 4);
    let moves = activity.moves();
    let idleMs = 0;
    let last = performance.now();
    timer = setInterval(() => {
      const now = performance.now();
      // While the whole process is stopped, as by Ctrl-Z, time passes for which no worker is to blame.
      idleMs += Math.min(now - last, 2 * interval);
      last = now;
      if (activity.moves() !== moves) {
        moves = activity.moves();
        idleMs = 0;
      } else if (idleMs >= limitMs()) {
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

/** Awaits `work`, but throws the signal's reason as soon as it is aborted. */
export async function unlessAborted<Result>(
  work: Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  if (signal === undefined) return work;
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
  });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Whether `work` settles within this many milliseconds. */
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
