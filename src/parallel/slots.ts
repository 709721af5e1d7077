/**
 * How workers exchange: slots that one side fills and others read.
 *
 * The coordinator allocates an `ExchangeMemory` and gives it to every worker thread; each worker opens
 * an `Exchange` on it and the collectives publish and read through that. A slot carries the sequence
 * number of the round (one forward, or one forward and backward) that filled it, so a reader knows
 * when its content is this round's. What `read` returned stays valid until the worker reports the round's
 * end: the coordinator starts the next round only after every worker has reported.
 *
 * How the values themselves get across is a `Transport`'s: copied through shared memory
 * (`slot_copies.ts`, any backend), or read where they lie (`peer_memory.ts`, the native backend).
 *
 * A wait ends by the writer's notification or by the coordinator's abort flag. It has no time limit of
 * its own: the coordinator sees that nobody moves on (`activity.ts`), and who is the cause.
 */
import type * as tf from '@tensorflow/tfjs';
import type { Network } from '../model/network.js';
import { Activity, allocateActivity } from './activity.js';
import type { ActivityMemory } from './activity.js';
import type { Timeline } from './timeline.js';

/** Allocated once a run; structured-cloneable, shared by reference. */
export interface ExchangeMemory {
  /** Int32: `ABORT`, then the sequence number of each slot. */
  control: SharedArrayBuffer;
  /** Position of each slot in `control`, and the floats that it must be able to pass on. */
  slots: Record<string, Slot>;
  /** What each worker is doing. */
  activity: ActivityMemory;
}

export interface Slot {
  index: number;
  floats: number;
}

/** Brings the values of a slot from the worker that fills it to those that read it. */
export interface Transport {
  /** A round begins: what was published in the last one is not read any more. */
  begin(): void;
  /**
   * Called before the slot's readers are told.
   *
   * @param tensor float32; the caller may dispose it at once
   * @param readers the workers that will read it
   */
  publish(slot: Slot, tensor: tf.Tensor, readers: number[]): void;
  /**
   * Called once the slot is filled.
   *
   * @param from the worker that filled it
   * @returns the first `length` floats where they lie, valid until the round ends
   */
  read(slot: Slot, length: number, from: number): Float32Array;
}

const ABORT = 0;

/** How often a waiting worker looks at the abort flag, should it miss the notification. */
const POLL_MILLISECONDS = 100;

export type Pass = 'forward' | 'backward';

/** A slot of `exchange` (a layer's name or `logits`), written by `from`, forward: for all; backward: for rank `to`. */
function slotName(exchange: string, pass: Pass, from: number, to?: number): string {
  return to === undefined ? `${exchange} ${pass} ${from}` : `${exchange} ${pass} ${from}→${to}`;
}

/**
 * Slots for one network at up to `batch` images.
 *
 * @param workers the ranks of each worker; with one worker nothing crosses and no slot is made
 */
export function allocateExchangeMemory(
  network: Network,
  workers: number[][],
  batch: number,
): ExchangeMemory {
  const slots: ExchangeMemory['slots'] = {};
  let count = 1;
  const add = (name: string, floats: number): void => {
    slots[name] = { index: count++, floats };
  };
  if (workers.length > 1) {
    for (const layer of network.layers.filter((candidate) => candidate.gathers)) {
      const { height, width, channels } = layer.input;
      const floats = (batch * height * width * channels) / network.towers;
      workers.flat().forEach((rank) => add(slotName(layer.name, 'forward', rank), floats));
      workers.forEach((own, worker) => {
        workers
          .flat()
          .filter((rank) => !own.includes(rank))
          .forEach((rank) => add(slotName(layer.name, 'backward', worker, rank), floats));
      });
    }
    const floats = (batch * network.classes) / network.towers;
    workers.flat().forEach((rank) => add(slotName('logits', 'forward', rank), floats));
  }
  return {
    control: new SharedArrayBuffer(count * Int32Array.BYTES_PER_ELEMENT),
    slots,
    activity: allocateActivity(network, workers.length),
  };
}

/** Makes every wait on `memory` end with an `ExchangeAborted`, now and from now on. */
export function abortExchange(memory: ExchangeMemory): void {
  const control = new Int32Array(memory.control);
  Atomics.store(control, ABORT, 1);
  for (let index = 0; index < control.length; index++) Atomics.notify(control, index);
}

/** Another worker failed; this one stopped waiting. The coordinator reports the other's error. */
export class ExchangeAborted extends Error {
  override readonly name = 'ExchangeAborted';
}

/** What one worker's exchanges of a round cost. */
export interface ExchangeCost {
  /** Milliseconds spent on bringing values across and together. */
  copyMs: number;
  /** Milliseconds spent waiting for other ranks. */
  waitMs: number;
  /** Bytes read from other ranks. */
  bytes: number;
}

/** One worker's end of the exchange. */
export class Exchange {
  private readonly control: Int32Array;
  /** What this worker is doing. */
  readonly activity: Activity;
  private sequence = 0;
  private cost: ExchangeCost = { copyMs: 0, waitMs: 0, bytes: 0 };

  /**
   * @param worker this worker's position in the placement
   * @param workers the ranks of each worker
   * @param timeline what this worker did when; null where it is not traced
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

  /** All ranks, ascending. */
  get towers(): number {
    return this.workers.flat().length;
  }

  /** Starts a round: `sequence` grows by at least one each. */
  begin(sequence: number): void {
    this.transport.begin();
    this.sequence = sequence;
    this.cost = { copyMs: 0, waitMs: 0, bytes: 0 };
  }

  /** The cost of this round so far. */
  spent(): ExchangeCost {
    return { ...this.cost };
  }

  /** Runs `copy`, counting its time as exchange copying; `exchange` as for `publish`. */
  copying<Result>(exchange: string, copy: () => Result): Result {
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
   * Waits until the slot holds this round's values.
   *
   * @returns a view of the first `length` floats where they lie, valid until the round ends
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
      Atomics.wait(this.control, slot.index, current, POLL_MILLISECONDS);
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
