/**
 * The workers' verdict on a step: whether the loss and the gradients of every rank are finite. The workers of one host
 * reach it among themselves, so that none waits for the coordinator between the backward pass and the update.
 */
import { POLL_MS } from './exchange.js';
import type { Exchange } from './exchange.js';
import type { ExchangeMemory } from './slots.js';

/** One worker's end. */
export class Verdicts {
  private readonly control: Int32Array;
  private readonly first: number;

  constructor(
    { control, verdicts }: ExchangeMemory,
    private readonly exchange: Exchange,
  ) {
    this.control = new Int32Array(control);
    this.first = verdicts;
  }

  /** Tells the others whether all is finite here. @param sequence number of the round */
  give(sequence: number, isFinite: boolean): void {
    const index = this.first + this.exchange.worker;
    Atomics.store(this.control, index, isFinite ? sequence : -sequence);
    Atomics.notify(this.control, index);
  }

  /**
   * Waits until all workers have given their verdict on a round.
   *
   * @returns whether all is finite on all of them; the same on every worker
   * @throws ExchangeAborted if another worker fails before it has a verdict
   */
  areAllFinite(sequence: number): boolean {
    const { workers } = this.exchange;
    return this.exchange.waiting('verdict', () =>
      workers.map((_, other) => this.verdictOf(other, sequence)).every(Boolean),
    );
  }

  private verdictOf(worker: number, sequence: number): boolean {
    const { activity, workers } = this.exchange;
    activity.moveTo('waitForward', 'verdict', workers[worker]![0]);
    const index = this.first + worker;
    for (;;) {
      const verdict = Atomics.load(this.control, index);
      if (Math.abs(verdict) === sequence) return verdict > 0;
      this.exchange.throwIfAborted();
      Atomics.wait(this.control, index, verdict, POLL_MS);
    }
  }
}
