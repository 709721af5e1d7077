/** Long work of the main thread that can be interrupted. */
import { setImmediate } from 'node:timers/promises';

/** Milliseconds between two turns of the event loop, in which signals are handled. */
const TURN_MS = 50;

/**
 * Waits for `work` or for an abort, whichever comes first. The work itself goes on until it looks at the signal.
 *
 * @throws the signal's reason
 */
export async function unlessAborted<Result>(
  work: Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  if (signal === undefined) return work;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort!);
    // Its own failure, after an abort, has nobody to tell.
    work.catch(() => {});
  }
}

/** For loops that keep the main thread busy: lets the event loop turn now and then. */
export class Breather {
  private last = performance.now();

  constructor(private readonly signal?: AbortSignal) {}

  /** @throws the signal's reason after an abort */
  async breathe(): Promise<void> {
    if (performance.now() - this.last < TURN_MS) return;
    await setImmediate();
    this.signal?.throwIfAborted();
    this.last = performance.now();
  }
}
