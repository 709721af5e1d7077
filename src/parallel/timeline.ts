/**
 * What a worker did when, for a trace: a sequence of spans without gaps, since each begins where the one
 * before ends. Written by the tower and its exchange as they go; the coordinator collects it. A worker that
 * is not traced has none.
 *
 * A span is the time of the worker's thread. On the CPU backends that is the kernels' own time; on a GPU,
 * where kernels run behind the thread, a layer's span is how long it took to hand them over, and the time
 * that they run beyond that shows where the thread needs a result: at an exchange's copy or at the loss.
 *
 * A worker of several ranks computes them one after another: each rank's layers are spans of that rank, what
 * is done for all of them, such as an exchange, of the first.
 */
import { microseconds } from '../clock.js';

export type SpanCategory = 'forward' | 'backward' | 'exchange' | 'update' | 'other';

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

  /** @param firstRank of the worker */
  constructor(private readonly firstRank: number) {}

  /** The worker goes on to something else. */
  moveTo(name: string, category: SpanCategory, rank = this.firstRank): void {
    const now = microseconds();
    if (this.current !== null) this.spans.push({ ...this.current, ended: now });
    this.current = { name, category, rank, began: now };
  }

  /** Does `work` as a span of its own, and then goes on with what it interrupted. */
  within<Result>(name: string, category: SpanCategory, work: () => Result): Result {
    const interrupted = this.current;
    this.moveTo(name, category);
    const result = work();
    if (interrupted !== null) this.moveTo(interrupted.name, interrupted.category, interrupted.rank);
    return result;
  }

  /** The spans that have ended since the last call. */
  take(): Span[] {
    const { spans } = this;
    this.spans = [];
    return spans;
  }
}
