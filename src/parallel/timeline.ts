/**
 * What a worker did when, for a trace: a sequence of spans without gaps, each beginning where the one before ends. A
 * worker that is not traced has no timeline.
 *
 * A span is time of the worker's thread. On CPU backends that is the time of the kernels themselves. On a GPU, which works
 * behind the thread, a layer's span of the thread is the time to enqueue its kernels. There each span has a second one, of the
 * time in which the device does that work.
 *
 * A worker of several ranks computes them one after another. Each rank's layers are spans of that rank; what is done
 * for all of them, such as an exchange, is a span of the first.
 */
import type { DeviceTimer } from '../backend/capabilities.js';
import { microseconds } from '../clock.js';

/** `communication` goes on beside what the worker does, and has a track of its own. */
export type SpanCategory =
  'forward' | 'backward' | 'exchange' | 'update' | 'other' | 'communication';

export interface Span {
  name: string;
  category: SpanCategory;
  rank: number;
  /** Microseconds, on the clock of `clock.ts`. */
  began: number;
  ended: number;
  /** Whether it is time of a device that works behind the thread. */
  isOfDevice?: true;
}

type Current = Omit<Span, 'ended'> & { mark: bigint | undefined };

/** What the device has to do for a span. */
interface Enqueued extends Pick<Span, 'name' | 'category' | 'rank'> {
  from: bigint;
  to: bigint;
}

/** A mark of the device, and the time at which it passed it, microseconds. */
interface Anchor {
  mark: bigint;
  at: number;
}

export class Timeline {
  private spans: Span[] = [];
  private current: Current | null = null;
  private enqueued: Enqueued[] = [];
  private anchor: Anchor | null;

  /**
   * @param firstRank the first of the worker's ranks
   * @param timer null if the thread itself computes
   */
  constructor(
    private readonly firstRank: number,
    private readonly timer: DeviceTimer | null = null,
  ) {
    this.anchor = timer && anchorOf(timer);
  }

  /** Ends the current span and begins another. */
  moveTo(name: string, category: SpanCategory, rank = this.firstRank): void {
    const now = microseconds();
    const mark = this.timer?.mark();
    if (this.current !== null) {
      const { mark: from, ...span } = this.current;
      this.spans.push({ ...span, ended: now });
      if (mark !== undefined) {
        const { name, category, rank } = span;
        this.enqueued.push({ name, category, rank, from: from!, to: mark });
      }
    }
    this.current = { name, category, rank, began: now, mark };
  }

  /** Runs `work` as a span of its own, then continues the span that it has interrupted. */
  within<Result>(name: string, category: SpanCategory, work: () => Result): Result {
    const interrupted = this.current;
    this.moveTo(name, category);
    const result = work();
    if (interrupted !== null) this.moveTo(interrupted.name, interrupted.category, interrupted.rank);
    return result;
  }

  /** Adds a span of the communication that goes on meanwhile. */
  communicated(name: string, began: number, ended: number): void {
    this.spans.push({ name, category: 'communication', rank: this.firstRank, began, ended });
  }

  /** The spans that have ended since the last call. Waits until the device has done what it has to. */
  take(): Span[] {
    const spans = [...this.spans, ...(this.timer === null ? [] : this.spansOfDevice(this.timer))];
    this.spans = [];
    return spans;
  }

  private spansOfDevice(timer: DeviceTimer): Span[] {
    timer.synchronize();
    const { mark: origin, at } = this.anchor!;
    const timeOf = (mark: bigint): number => at + 1000 * timer.elapsedMs(origin, mark);
    const spans = this.enqueued.map(({ from, to, ...span }): Span => {
      return { ...span, began: timeOf(from), ended: timeOf(to), isOfDevice: true };
    });
    timer.release([origin, ...this.enqueued.map(({ from }) => from)]);
    this.enqueued = [];
    // Elapsed times are float32, so they are counted from a recent mark. The current span begins there for the device.
    this.anchor = anchorOf(timer);
    if (this.current !== null) {
      timer.release([this.current.mark!]);
      this.current.mark = timer.mark();
    }
    return spans;
  }
}

/** A mark of a device that has nothing to do. */
function anchorOf(timer: DeviceTimer): Anchor {
  timer.synchronize();
  const at = microseconds();
  return { mark: timer.mark(), at };
}
