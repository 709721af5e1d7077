/** A page whose body is rebuilt when it is asked for, and so seldom that it takes little of one core. */
import { createHash } from 'node:crypto';
import { messageOf } from '../errors.js';
import type { Markup } from '../report/markup.js';
import { POLLING_SECONDS } from '../report/page.js';

/** What a page shows. */
export interface LiveState {
  title: string;
  body: Markup;
}

/** The least time between two bodies: in seconds, and as a multiple of the time that one took. */
const LEAST_SECONDS = 1;
const LEAST_MULTIPLE = 20;

/** A page that has not been asked for within this time is no longer open, milliseconds. */
export const OPEN_MS = 1500 * POLLING_SECONDS;

export class LivePage {
  /** The last state that could be built; undefined before the first. */
  state: LiveState | undefined;
  /** An ETag that changes with the body. */
  version = '';
  /** Why the last body could not be built; null if it could. */
  failure: string | null = null;
  private making: Promise<void> | undefined;
  private notBefore = 0;
  private askedAt = -Infinity;

  constructor(private readonly make: () => Promise<LiveState> | LiveState) {}

  get isOpen(): boolean {
    return performance.now() - this.askedAt < OPEN_MS;
  }

  /** Lets the next request rebuild the body. */
  expire(): void {
    this.notBefore = 0;
  }

  /**
   * Rebuilds the body if that is due. Requests that come meanwhile wait for the same one.
   *
   * @param open number of pages that share the time
   */
  async refresh(open: number): Promise<void> {
    this.askedAt = performance.now();
    if (this.askedAt < this.notBefore) return;
    this.making ??= this.rebuild(open).finally(() => (this.making = undefined));
    await this.making;
  }

  private async rebuild(open: number): Promise<void> {
    const begin = performance.now();
    try {
      this.state = await this.make();
      this.version = `"${createHash('sha256').update(this.state.body.text).digest('base64url')}"`;
      this.failure = null;
    } catch (error) {
      // Such as a malformed line of the metrics.
      this.failure = messageOf(error);
    }
    const end = performance.now();
    this.notBefore = end + Math.max(LEAST_SECONDS * 1000, LEAST_MULTIPLE * open * (end - begin));
  }
}
