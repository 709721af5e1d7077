/**
 * One worker's end of the exchange: fills its slots, waits for those of the other workers, and keeps the time of both.
 *
 * What is read stays valid until the worker reports the end of the round, because the coordinator begins the next
 * round only after every worker has reported. A `Transport` brings the values across: by copies in shared memory
 * (`slot_copies.ts`, any backend), or by reading them in place (`peer_memory.ts`).
 *
 * A wait ends when the slot is filled or the coordinator raises the abort flag. It has no time limit of its own: the
 * coordinator sees that no worker makes progress, and which one is the cause (`activity.ts`).
 */
import * as tf from '@tensorflow/tfjs-core';
import { Activity } from './activity.js';
import { ABORT, slotName } from './slots.js';
import type { ExchangeMemory, Pass, Slot } from './slots.js';
import type { Timeline } from './timeline.js';

/** Brings the values of a slot from the worker that fills it to those that read it. */
export interface Transport {
  /** Begins a round: what was published in the last one is no longer read. */
  begin(): void;
  /**
   * Makes the values available. The slot's readers are told afterwards.
   *
   * @param tensor float32; the caller may dispose it at once
   * @param readers the workers that will read it
   */
  publish(slot: Slot, tensor: tf.Tensor, readers: number[]): void;
  /**
   * Reads a slot that is filled.
   *
   * @param from the worker that filled it
   * @returns the first `length` floats in place, valid until the round ends
   */
  read(slot: Slot, length: number, from: number): Float32Array;
}

/** How often a waiting worker looks at the abort flag in case it has missed the notification, milliseconds. */
const POLL_MS = 100;

/** Another worker has failed, so this one has stopped waiting. The coordinator reports the other's error. */
export class ExchangeAborted extends Error {
  override readonly name = 'ExchangeAborted';
}

/** What the exchanges of a round have cost one worker. */
export interface ExchangeCost {
  /** Milliseconds spent on bringing values across and together. */
  copyMs: number;
  /** Milliseconds spent on waiting for other workers. */
  waitMs: number;
  /** Bytes read from other workers. */
  bytes: number;
}

/** A reduce-scatter of one worker. */
export interface ReduceScatter {
  /** Shape of each term. */
  shape: number[];
  /** This worker's term for a rank of another worker. */
  termFor: (rank: number) => tf.Tensor;
  /** The sum for one's own rank, of this worker's term and the others'. */
  combine: (rank: number, terms: tf.Tensor[]) => tf.Tensor;
}

export class Exchange {
  private readonly control: Int32Array;
  /** What this worker is doing. */
  readonly activity: Activity;
  private sequence = 0;
  private cost: ExchangeCost = { copyMs: 0, waitMs: 0, bytes: 0 };

  /**
   * @param worker this worker's position in the placement
   * @param workers the ranks of each worker
   * @param timeline what this worker did when; null if it is not traced
   */
  constructor(
    private readonly memory: ExchangeMemory,
    private readonly transport: Transport,
    readonly worker: number,
    readonly workers: number[][],
    readonly timeline: Timeline | null = null,
  ) {
    this.control = new Int32Array(memory.control);
    this.activity = new Activity(memory.activity, worker);
  }

  /** This worker's ranks. */
  get ranks(): number[] {
    return this.workers[this.worker]!;
  }

  /** Number of ranks of all workers. */
  get towers(): number {
    return this.workers.flat().length;
  }

  /** Begins a round. @param sequence larger than that of the round before */
  begin(sequence: number): void {
    this.transport.begin();
    this.sequence = sequence;
    this.cost = { copyMs: 0, waitMs: 0, bytes: 0 };
  }

  /** The cost of this round so far. */
  spent(): ExchangeCost {
    return { ...this.cost };
  }

  /**
   * Publishes this worker's blocks and gathers all ranks'.
   *
   * @param exchange name of the exchange: a layer's, or `logits`
   * @param own float32 of each own rank, of one shape
   * @param combine gets the blocks of all ranks, ascending
   * @throws ExchangeAborted
   */
  allGather(
    exchange: string,
    own: tf.Tensor[],
    channelsOf: (rank: number) => number,
    combine: (blocks: tf.Tensor[]) => tf.Tensor,
  ): tf.Tensor {
    own.forEach((tensor, index) => {
      const rank = this.ranks[index]!;
      this.copying(exchange, () => this.publish(tensor, exchange, 'forward', rank));
    });
    const { shape } = own[0]!;
    const blocks: tf.Tensor[] = [];
    for (let rank = 0; rank < this.towers; rank++) {
      const index = this.ranks.indexOf(rank);
      if (index >= 0) blocks.push(own[index]!);
      else {
        const theirs = shape.with(-1, channelsOf(rank));
        const values = this.read(tf.util.sizeFromShape(theirs), exchange, 'forward', rank);
        blocks.push(tf.tensor(values, theirs, 'float32'));
      }
    }
    return this.copying(exchange, () => combine(blocks));
  }

  /**
   * Publishes a term for each rank of another worker and sums the terms for one's own.
   *
   * @param exchange name of the exchange: a layer's
   * @returns the sum for each own rank
   * @throws ExchangeAborted
   */
  reduceScatter(exchange: string, { shape, termFor, combine }: ReduceScatter): tf.Tensor[] {
    for (let rank = 0; rank < this.towers; rank++) {
      if (this.ranks.includes(rank)) continue;
      this.copying(exchange, () => {
        const term = termFor(rank);
        this.publish(term, exchange, 'backward', this.worker, rank);
        term.dispose();
      });
    }
    const length = tf.util.sizeFromShape(shape);
    return this.ranks.map((rank) => {
      const terms: tf.Tensor[] = [];
      for (let worker = 0; worker < this.workers.length; worker++) {
        if (worker === this.worker) continue;
        const values = this.read(length, exchange, 'backward', worker, rank);
        terms.push(tf.tensor(values, shape, 'float32'));
      }
      return this.copying(exchange, () => combine(rank, terms));
    });
  }

  /** Runs `copy` and counts its time as copying. */
  private copying<Result>(exchange: string, copy: () => Result): Result {
    const start = performance.now();
    const result = this.tracing(`copy ${exchange}`, copy);
    this.cost.copyMs += performance.now() - start;
    return result;
  }

  /**
   * Fills a slot and wakes its readers.
   *
   * @param tensor float32; the caller may dispose it at once
   * @param from the publishing rank (forward) or worker (backward)
   * @param to the rank whose gradient it is, backward only
   */
  publish(tensor: tf.Tensor, exchange: string, pass: Pass, from: number, to?: number): void {
    const slot = this.slot(exchange, pass, from, to);
    const readers = this.workers.flatMap((ranks, worker) =>
      worker !== this.worker && (to === undefined || ranks.includes(to)) ? [worker] : [],
    );
    this.transport.publish(slot, tensor, readers);
    Atomics.store(this.control, slot.index, this.sequence);
    Atomics.notify(this.control, slot.index);
  }

  /**
   * Waits until the slot has this round's values, and counts the time as waiting.
   *
   * @returns a view of the first `length` floats in place, valid until the round ends
   * @throws ExchangeAborted
   */
  read(length: number, exchange: string, pass: Pass, from: number, to?: number): Float32Array {
    const slot = this.slot(exchange, pass, from, to);
    const start = performance.now();
    this.tracing(`wait ${exchange}`, () => this.wait(slot, exchange, pass, from));
    this.activity.moveTo(pass, exchange);
    this.cost.waitMs += performance.now() - start;
    this.cost.bytes += length * Float32Array.BYTES_PER_ELEMENT;
    const worker =
      pass === 'backward' ? from : this.workers.findIndex((ranks) => ranks.includes(from));
    return this.transport.read(slot, length, worker);
  }

  private wait(slot: Slot, exchange: string, pass: Pass, from: number): void {
    this.activity.moveTo(pass === 'forward' ? 'waitForward' : 'waitBackward', exchange, from);
    for (;;) {
      const current = Atomics.load(this.control, slot.index);
      if (current === this.sequence) return;
      if (Atomics.load(this.control, ABORT) !== 0)
        throw new ExchangeAborted('stopped: another worker failed');
      Atomics.wait(this.control, slot.index, current, POLL_MS);
    }
  }

  private tracing<Result>(name: string, work: () => Result): Result {
    return this.timeline === null ? work() : this.timeline.within(name, 'exchange', work);
  }

  private slot(exchange: string, pass: Pass, from: number, to?: number): Slot {
    const name = slotName(exchange, pass, from, to);
    const slot = this.memory.slots[name];
    if (slot === undefined) throw new Error(`no exchange slot ${name}`);
    return slot;
  }
}
