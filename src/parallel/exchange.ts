/**
 * One worker's end of the exchange: fills its slots, waits for those of the other workers, and keeps the time of both.
 *
 * What is read stays valid until the worker reports the end of the round, because the coordinator begins the next
 * round only after every worker has reported. A `Transport` brings the values across: by copies in shared memory
 * (`slot_copies.ts`, any backend), by reading them in place in the host's memory (`peer_memory.ts`) or the GPUs'
 * (`gpu_memory.ts`), or from host to host (`mpi_transport.ts`).
 *
 * A wait ends when the slot is filled or the coordinator raises the abort flag. It has no time limit of its own: the
 * coordinator sees that no worker makes progress, and which one is the cause (`activity.ts`).
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Recording } from '../backend/capabilities.js';
import { Activity } from './activity.js';
import { RoundCost } from './round_cost.js';
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
   */
  publish(slot: Slot, tensor: tf.Tensor): void;
  /**
   * Reads a slot that is filled.
   *
   * @returns float32, on this worker's device; its values are those of the slot, in place, and valid until the round ends
   */
  read(slot: Slot, shape: number[]): tf.Tensor;
  /** Whether another host fills the slot (default: none does). */
  isFromElsewhere?(slot: Slot): boolean;
  /** Between hosts: gets ready to receive the first `length` floats, if they come from another one. */
  expect?(slot: Slot, length: number): void;
  /**
   * Between hosts: receives what is expected, for all readers on this host.
   *
   * @param milliseconds the longest time to wait
   * @returns whether it is there; undefined if this worker expects nothing there, as another thread fills the slot
   */
  receive?(slot: Slot, milliseconds: number): boolean | undefined;
  /**
   * Between hosts: sends the rest of what was published.
   *
   * @param milliseconds the longest time to wait
   * @returns a worker for which something is not sent yet; null if all is
   */
  unsent?(milliseconds: number): number | null;
}

/** How often a waiting worker looks at the abort flag in case it has missed the notification, milliseconds. */
export const POLL_MS = 100;

/** Another worker has failed, so this one has stopped waiting. The coordinator reports the other's error. */
export class ExchangeAborted extends Error {
  override readonly name = 'ExchangeAborted';
}

/** Between whom a slot passes values. */
interface SlotEnds {
  /** The publishing rank (forward) or worker (backward). */
  from: number;
  /** The rank whose gradient it is, backward only. */
  to?: number;
}

/** A reduce-scatter of one worker. */
export interface ReduceScatter {
  /** The ranks that take part, ascending; none of another worker's without all of it (default: all). */
  ranks?: readonly number[];
  /** Shape of each term for a rank of this worker. */
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
  /** Bytes read from other workers in this round. */
  bytes = 0;
  /** The step that is being recorded; null if what is asked is done. */
  private recording: Recording | null = null;

  /**
   * @param worker this worker's position among those of the replica
   * @param workers the ranks of each worker of the replica, on all its hosts
   * @param timeline what this worker did when; null if it is not traced
   */
  constructor(
    private readonly memory: ExchangeMemory,
    private readonly transport: Transport,
    readonly worker: number,
    readonly workers: number[][],
    readonly timeline: Timeline | null = null,
    /** What the exchanges of this round have cost so far. */
    readonly cost = new RoundCost(),
  ) {
    this.control = new Int32Array(memory.control);
    this.activity = new Activity(memory.activity, worker);
  }

  /** This worker's ranks. */
  get ranks(): number[] {
    return this.workers[this.worker]!;
  }

  /** The ranks of all workers, ascending. */
  get allRanks(): number[] {
    return this.workers.flat().sort((one, other) => one - other);
  }

  /** Begins a round. @param sequence larger than that of the round before */
  begin(sequence: number): void {
    this.transport.begin();
    this.sequence = sequence;
    this.cost.begin();
    this.bytes = 0;
  }

  /**
   * Publishes this worker's blocks and gathers those of other ranks.
   *
   * @param exchange name of the exchange: a layer's, `labels` or `logits`
   * @param own float32 of each own rank; published if the rank takes part
   * @param shapeOf a rank's block
   * @param combine gets the blocks, in the order of the ranks
   * @param ranks that take part, ascending
   * @throws ExchangeAborted
   */
  allGather(
    exchange: string,
    own: tf.Tensor[],
    shapeOf: (rank: number) => number[],
    combine: (blocks: tf.Tensor[]) => tf.Tensor,
    ranks: readonly number[] = this.allRanks,
  ): tf.Tensor {
    const others = ranks.filter((rank) => !this.ranks.includes(rank));
    const published = this.ranks.flatMap((rank, index) =>
      ranks.includes(rank) ? [{ from: rank, tensor: own[index]! }] : [],
    );
    const wanted = others.map((from) => ({ from, shape: shapeOf(from) }));
    const read = this.trade(exchange, 'forward', published, wanted);
    const blocks = ranks.map((rank) => {
      const index = this.ranks.indexOf(rank);
      return index >= 0 ? own[index]! : read[others.indexOf(rank)]!;
    });
    this.sendRest(exchange, 'forward');
    return this.copying(exchange, () => combine(blocks));
  }

  /**
   * Publishes a term for each rank of another worker and sums the terms for one's own.
   *
   * @param exchange name of the exchange: a layer's
   * @returns the sum for each own rank
   * @throws ExchangeAborted
   */
  reduceScatter(
    exchange: string,
    { ranks = this.allRanks, shape, termFor, combine }: ReduceScatter,
  ): tf.Tensor[] {
    const others = [...this.workers.keys()].filter(
      (worker) => worker !== this.worker && ranks.includes(this.workers[worker]![0]!),
    );
    const published = ranks
      .filter((rank) => !this.ranks.includes(rank))
      .map((to) => ({
        from: this.worker,
        to,
        tensor: this.copying(exchange, () => termFor(to)),
      }));
    const wanted = this.ranks.flatMap((to) => others.map((from) => ({ from, to, shape })));
    const read = this.trade(exchange, 'backward', published, wanted);
    for (const { tensor } of published) tensor.dispose();
    const sums = this.ranks.map((rank, index) => {
      const terms = read.slice(index * others.length, (index + 1) * others.length);
      return this.copying(exchange, () => combine(rank, terms));
    });
    this.sendRest(exchange, 'backward');
    return sums;
  }

  /**
   * Fills slots and reads others. In a recorded step this is a pause between two pieces.
   *
   * @returns what was read, float32
   * @throws ExchangeAborted
   */
  private trade(
    exchange: string,
    pass: Pass,
    published: readonly (SlotEnds & { tensor: tf.Tensor })[],
    wanted: readonly (SlotEnds & { shape: number[] })[],
  ): tf.Tensor[] {
    const act = (tensors: readonly tf.Tensor[]): tf.Tensor[] => {
      for (const { from, to, shape } of wanted) {
        this.expect(tf.util.sizeFromShape(shape), exchange, pass, from, to);
      }
      published.forEach(({ from, to }, index) =>
        this.copying(exchange, () => this.publish(tensors[index]!, exchange, pass, from, to)),
      );
      return wanted.map(({ from, to, shape }) => this.read(shape, exchange, pass, from, to));
    };
    const own = published.map(({ tensor }) => tensor);
    if (this.recording === null) return act(own);
    const shapes = wanted.map(({ shape }) => shape);
    return this.recording.pause(own, shapes, this.cost.inThisPhase(act));
  }

  /** Records `work`, which exchanges in pauses. */
  recordingIn<Result>(recording: Recording, work: () => Result): Result {
    this.recording = recording;
    try {
      return work();
    } finally {
      this.recording = null;
    }
  }

  /** Runs `wait`, in which this worker and its device wait for other workers of this host. */
  waiting<Result>(exchange: string, wait: () => Result): Result {
    return this.cost.waitIdly(() => this.tracing(`wait ${exchange}`, wait));
  }

  /** Runs `copy` and counts its time as copying. */
  private copying<Result>(exchange: string, copy: () => Result): Result {
    return this.cost.spend('copyMs', () => this.tracing(`copy ${exchange}`, copy));
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
    this.transport.publish(slot, tensor);
    this.fill(slot);
  }

  /** Tells the readers on this host that the slot has this round's values. */
  private fill({ index }: Slot): void {
    Atomics.store(this.control, index, this.sequence);
    Atomics.notify(this.control, index);
  }

  /** Has what other hosts send arrive while this worker does something else. */
  private expect(length: number, exchange: string, pass: Pass, from: number, to?: number): void {
    this.transport.expect?.(this.slot(exchange, pass, from, to), length);
  }

  /**
   * Waits until what was published has left for the other hosts. They wait for it too, and bytes move only while both
   * ends wait.
   */
  private sendRest(exchange: string, pass: Pass): void {
    if (this.transport.unsent === undefined) return;
    this.cost.spend('hostsWaitMs', () =>
      this.tracing(`send ${exchange}`, () => this.waitUntilSent(exchange, pass)),
    );
  }

  private waitUntilSent(exchange: string, pass: Pass): void {
    let awaited: number | null = null;
    for (;;) {
      const worker = this.transport.unsent?.(POLL_MS) ?? null;
      if (worker === null) break;
      this.throwIfAborted();
      // To wait on for the same one is no progress.
      if (worker === awaited) continue;
      awaited = worker;
      this.moveToWaiting(exchange, pass, pass === 'forward' ? this.workers[worker]![0]! : worker);
    }
    if (awaited !== null) this.activity.moveTo(pass, exchange);
  }

  /**
   * Waits until the slot has this round's values, and counts the time as waiting.
   *
   * @returns float32, its values in place, valid until the round ends
   * @throws ExchangeAborted
   */
  read(shape: number[], exchange: string, pass: Pass, from: number, to?: number): tf.Tensor {
    const slot = this.slot(exchange, pass, from, to);
    const isFromElsewhere = this.transport.isFromElsewhere?.(slot) === true;
    const name = isFromElsewhere ? `wait for another host, ${exchange}` : `wait ${exchange}`;
    this.bytes += tf.util.sizeFromShape(shape) * Float32Array.BYTES_PER_ELEMENT;
    // On a GPU the device waits in what `read` enqueues.
    return this.cost.spend(isFromElsewhere ? 'hostsWaitMs' : 'waitMs', () =>
      this.tracing(name, () => {
        this.wait(slot, exchange, pass, from);
        this.activity.moveTo(pass, exchange);
        return this.transport.read(slot, shape);
      }),
    );
  }

  private wait(slot: Slot, exchange: string, pass: Pass, from: number): void {
    this.moveToWaiting(exchange, pass, from);
    for (;;) {
      const current = Atomics.load(this.control, slot.index);
      if (current === this.sequence) return;
      this.throwIfAborted();
      const isThere = this.transport.receive?.(slot, POLL_MS);
      if (isThere === undefined) Atomics.wait(this.control, slot.index, current, POLL_MS);
      else if (isThere) this.fill(slot);
    }
  }

  /** @param from the rank (forward) or worker (backward) that is waited for */
  private moveToWaiting(exchange: string, pass: Pass, from: number): void {
    this.activity.moveTo(pass === 'forward' ? 'waitForward' : 'waitBackward', exchange, from);
  }

  /** @throws ExchangeAborted if the coordinator has raised the abort flag */
  throwIfAborted(): void {
    if (Atomics.load(this.control, ABORT) === 0) return;
    throw new ExchangeAborted('stopped: another worker failed');
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
