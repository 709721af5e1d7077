/**
 * What the parts of a round cost one worker. Times are those of the worker's device. On a CPU the thread itself computes, so
 * they are the thread's. A GPU works behind the thread, so its own timer tells them, once the round's results are read.
 */
import type { DeviceTimer } from '../backend/capabilities.js';

/** An instant: milliseconds of the thread's clock, or a mark in what a device does. */
export type Instant = number | bigint;

/**
 * What a part of a round is spent on: bringing values across and together, waiting for workers of this or another host, or
 * waiting for sums over hosts.
 */
export type CostKind = 'copyMs' | 'waitMs' | 'hostsWaitMs' | 'sumsWaitMs';

/** What the exchanges of a round have cost one worker, milliseconds. */
export type ExchangeCost = Record<CostKind, number>;

/** The end of a phase of a round, and the number of the round's parts so far. */
export interface Phase {
  ended: Instant;
  parts: number;
}

interface Part {
  kind: CostKind;
  began: Instant;
  ended: Instant;
}

export class RoundCost {
  private parts: Part[] = [];
  private marks: bigint[] = [];

  /** @param timer null if the thread itself computes */
  constructor(private readonly timer: DeviceTimer | null = null) {}

  /** Begins a round. The instants of the last one have no meaning any more. */
  begin(): void {
    this.timer?.release(this.marks);
    this.marks = [];
    this.parts = [];
  }

  /** The instant at which the device has done what the thread has asked of it so far. */
  now(): Instant {
    if (this.timer === null) return performance.now();
    const mark = this.timer.mark();
    this.marks.push(mark);
    return mark;
  }

  /** Milliseconds between two instants of one clock. Instants of a device must be over. */
  between(began: Instant, ended: Instant): number {
    if (typeof began === 'bigint') return this.timer!.elapsedMs(began, ended as bigint);
    return (ended as number) - began;
  }

  /** Runs `work` as a part of the round. */
  spend<Result>(kind: CostKind, work: () => Result): Result {
    const began = this.now();
    const result = work();
    this.parts.push({ kind, began, ended: this.now() });
    return result;
  }

  /** Runs `wait`, in which the thread waits and its device has nothing to do. */
  waitIdly<Result>(wait: () => Result): Result {
    const began = performance.now();
    const result = wait();
    this.parts.push({ kind: 'waitMs', began, ended: performance.now() });
    return result;
  }

  /** Runs `work`, whose instants are those of work that is repeated in later rounds. */
  keeping<Result>(work: () => Result): Result {
    const { marks } = this;
    this.marks = [];
    try {
      return work();
    } finally {
      this.marks = marks;
    }
  }

  /** Ends a phase here. */
  endPhase(): Phase {
    return { ended: this.now(), parts: this.parts.length };
  }

  /**
   * Milliseconds that `work` takes: the device's if this is to wait until it has done everything, else the thread's.
   */
  timeOf(work: () => void, waits: boolean): number {
    const timer = waits ? this.timer : null;
    const began = timer === null ? performance.now() : this.now();
    work();
    if (timer === null) return this.between(began, performance.now());
    const ended = this.now();
    timer.synchronize();
    return this.between(began, ended);
  }

  /** The cost of the round's parts from `first` up to `end` (default: of all). */
  spent(first = 0, end = this.parts.length): ExchangeCost {
    const cost = { copyMs: 0, waitMs: 0, hostsWaitMs: 0, sumsWaitMs: 0 };
    for (const { kind, began, ended } of this.parts.slice(first, end)) {
      cost[kind] += this.between(began, ended);
    }
    return cost;
  }
}
