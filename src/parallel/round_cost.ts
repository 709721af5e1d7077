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

/** Work that is recorded and done in later rounds, at instants that are always the same. */
export interface KeptWork<Work> {
  work: Work;
  /** A round that has done it must call this. */
  hasDone: () => void;
  /** Lets its instants be used again. */
  release: () => void;
}

interface Part {
  kind: CostKind;
  phase: number;
  began: Instant;
  ended: Instant;
}

export class RoundCost {
  private parts: Part[] = [];
  /** Which phase of the round is under way, from 0. */
  private phase = 0;
  private marks: bigint[] = [];

  /** @param timer null if the thread itself computes */
  constructor(private readonly timer: DeviceTimer | null = null) {}

  /** Begins a round. The instants of the last one have no meaning any more. */
  begin(): void {
    this.timer?.release(this.marks);
    this.marks = [];
    this.parts = [];
    this.phase = 0;
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
    const { phase } = this;
    const began = this.now();
    const result = work();
    this.parts.push({ kind, phase, began, ended: this.now() });
    return result;
  }

  /** Runs `wait`, in which the thread waits and its device has nothing to do. */
  waitIdly<Result>(wait: () => Result): Result {
    const began = performance.now();
    const result = wait();
    this.parts.push({ kind: 'waitMs', phase: this.phase, began, ended: performance.now() });
    return result;
  }

  /** Runs `record`, which records work. */
  keeping<Work>(record: () => Work): KeptWork<Work> {
    const round = { marks: this.marks, parts: this.parts, phase: this.phase };
    this.marks = [];
    this.parts = [];
    const release = (marks: bigint[]) => this.timer?.release(marks);
    try {
      const work = record();
      const { marks, parts, phase } = this;
      const hasDone = (): void => {
        this.parts.push(...parts);
        this.phase = phase;
      };
      return { work, hasDone, release: () => release(marks) };
    } catch (error) {
      release(this.marks);
      throw error;
    } finally {
      Object.assign(this, round);
    }
  }

  /** A function that does `work` in a later round, as a part of the phase that is under way now. */
  inThisPhase<Given extends unknown[], Result>(
    work: (...given: Given) => Result,
  ): (...given: Given) => Result {
    const { phase } = this;
    return (...given) => {
      this.phase = phase;
      return work(...given);
    };
  }

  /** Ends a phase here. */
  endPhase(): Instant {
    this.phase++;
    return this.now();
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

  /** The cost of the round's parts, or of those of one phase. */
  spent(only?: number): ExchangeCost {
    const cost = { copyMs: 0, waitMs: 0, hostsWaitMs: 0, sumsWaitMs: 0 };
    for (const { kind, phase, began, ended } of this.parts) {
      if (only === undefined || only === phase) cost[kind] += this.between(began, ended);
    }
    return cost;
  }
}
