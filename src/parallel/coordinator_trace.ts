/**
 * A coordinator's part of a trace: the spans of its own track, and the workers', which it fetches from
 * them now and then. Does nothing but the work where no trace is written.
 */
import { microseconds } from '../clock.js';
import type { TraceGroup } from '../report/trace.js';
import type { TowerThreads } from './tower_threads.js';

/** How many steps' spans are fetched at once: between fetches, tracing costs no message. */
const TRACED_TOGETHER = 16;

export class CoordinatorTrace {
  /** Steps, tests and stores whose spans are still with the workers. */
  private unfetched = 0;
  /** Nobody waits for it in between: spans are written while the workers compute the next step. */
  private fetched: Promise<void> = Promise.resolve();

  constructor(
    private readonly group: TraceGroup | undefined,
    private readonly threads: TowerThreads,
  ) {}

  /** Runs a part of a step as a span of the coordinator's track. */
  async part<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    if (this.group === undefined) return work();
    const began = microseconds();
    const result = await work();
    this.group.span('coordinator', name, 'coordinator', began, microseconds());
    return result;
  }

  /** Runs a step, test or store as a span; now and then fetches what the workers did meanwhile. */
  async whole<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const result = await this.part(name, work);
    if (this.group !== undefined && ++this.unfetched === TRACED_TOGETHER) {
      await this.fetched;
      this.fetched = this.fetch(this.group);
      // Told by whoever waits for it next.
      this.fetched.catch(() => {});
    }
    return result;
  }

  /** Fetches the last spans. What the workers did last is lost where one of them failed. */
  async finish(): Promise<void> {
    if (this.group === undefined || this.threads.haveFailed) return;
    await this.fetched;
    await this.fetch(this.group);
  }

  private async fetch(group: TraceGroup): Promise<void> {
    this.unfetched = 0;
    for (const span of (await this.threads.all('spans', () => ({ kind: 'spans' }))).flat()) {
      group.span(`rank ${span.rank}`, span.name, span.category, span.began, span.ended);
    }
  }
}
