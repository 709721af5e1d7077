/**
 * What a worker did when, for a trace: a sequence of spans without gaps, each beginning where the one before ends. A
 * worker that is not traced has no timeline.
 *
 * A span is time of the worker's thread. On CPU backends that is the time of the kernels themselves. On a GPU, where
 * kernels run behind the thread, a layer's span is the time to enqueue them; the rest of their time appears where the
 * thread needs a result, at an exchange's copy or at the loss.
 *
 * A worker of several ranks computes them one after another. Each rank's layers are spans of that rank; what is done
 * for all of them, such as an exchange, is a span of the first.
 */
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
}

type Current = Omit<Span, 'ended'>;

export class Timeline {
  private spans: Span[] = [];
  private current: Current | null = null;

  /** @param firstRank the first of the worker's ranks */
  constructor(private readonly firstRank: number) {}

  /** Ends the current span and begins another. */
  moveTo(name: string, category: SpanCategory, rank = this.firstRank): void {
    const now = microseconds();
    if (this.current !== null) this.spans.push({ ...this.current, ended: now });
    this.current = { name, category, rank, began: now };
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

  /** The spans that have ended since the last call. */
  take(): Span[] {
    const { spans } = this;
    this.spans = [];
    return spans;
  }
}
