/**
 * The coordinator's part of a trace: the spans of its own track, and those of the workers, which it fetches from time
 * to time. Without a trace it only runs the work.
 */
import { microseconds } from '../clock.js';
import type { TraceTracks } from '../report/trace.js';
import type { Span } from './timeline.js';
import type { TowerThreads } from './tower_threads.js';

/** Number of steps, tests and stores whose spans are fetched together; in between, tracing costs no message. */
const TRACED_TOGETHER = 16;

/** The tracks of a worker: of its ranks, of the sums that go on beside them, and of a device that works behind the thread. */
export function tracksOf(ranks: number[], hasSums: boolean, isBehind: boolean): string[] {
  const own = ranks.map((rank) => `rank ${rank}`);
  const device = isBehind ? ranks.map((rank) => deviceTrackOf(rank)) : [];
  return [...own, ...device, ...(hasSums ? [sumsTrackOf(ranks[0]!)] : [])];
}

function sumsTrackOf(rank: number): string {
  return `sums of rank ${rank}`;
}

function deviceTrackOf(rank: number): string {
  return `gpu of rank ${rank}`;
}

function trackOf({ rank, category, isOfDevice }: Span): string {
  if (category === 'communication') return sumsTrackOf(rank);
  return isOfDevice === true ? deviceTrackOf(rank) : `rank ${rank}`;
}

export class CoordinatorTrace {
  /** Number of steps, tests and stores whose spans the workers still hold. */
  private unfetched = 0;
  /** Number of steps whose spans on other hosts are not in the file yet. */
  private ungathered = 0;
  /** The fetch begun last. Nothing waits for it until the next: spans are written during the next step. */
  private fetched: Promise<void> = Promise.resolve();

  constructor(
    private readonly group: TraceTracks | undefined,
    private readonly threads: TowerThreads,
  ) {}

  /** Runs `work`, a part of a step, as a span of the coordinator's track. */
  async part<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    if (this.group === undefined) return work();
    const began = microseconds();
    const result = await work();
    this.group.span('coordinator', name, 'coordinator', began, microseconds());
    return result;
  }

  /** Runs `work`, a step, test or store, as a span. From time to time it also fetches the workers' spans. */
  async whole<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const result = await this.part(name, work);
    if (this.group !== undefined && ++this.unfetched === TRACED_TOGETHER) {
      await this.fetched;
      this.fetched = this.fetch(this.group);
      // Its failure is thrown where the next fetch waits for it.
      this.fetched.catch(() => {});
    }
    return result;
  }

  /** As `whole`, for a step, which all hosts take. From time to time they bring their spans together. */
  async step<Result>(step: number, work: () => Promise<Result>): Promise<Result> {
    const result = await this.whole(`step ${step}`, work);
    if (this.group?.gather !== undefined && ++this.ungathered === TRACED_TOGETHER) {
      this.ungathered = 0;
      await this.group.gather();
    }
    return result;
  }

  /** Fetches the last spans. They are lost if a worker has failed. */
  async finish(): Promise<void> {
    if (this.group === undefined || this.threads.haveFailed) return;
    await this.fetched;
    await this.fetch(this.group);
  }

  private async fetch(group: TraceTracks): Promise<void> {
    this.unfetched = 0;
    for (const span of (await this.threads.all('spans', () => ({ kind: 'spans' }))).flat()) {
      group.span(trackOf(span), span.name, span.category, span.began, span.ended);
    }
  }
}
