/**
 * The slots of the exchange between workers, in memory that all threads share.
 *
 * A slot carries values from the one worker that fills it to those that read it. Its word in `control` is the number
 * of the round (one forward, or one forward and backward) that filled it, so that a reader knows when the values are
 * this round's. How the values themselves get across is up to the transport (`exchange.ts`).
 */
import type { Network } from '../model/network.js';
import { largestShare } from '../model/shares.js';
import { allocateActivity } from './activity.js';
import type { ActivityMemory } from './activity.js';

/** Allocated once per run; structured-cloneable, shared by reference. */
export interface ExchangeMemory {
  /** Int32: the abort flag, then the round of each slot. */
  control: SharedArrayBuffer;
  /** The slots by name; see `slotName`. */
  slots: Record<string, Slot>;
  /** What each worker is doing. */
  activity: ActivityMemory;
}

export interface Slot {
  /** Position in `control`. */
  index: number;
  /** Floats that the slot must be able to carry. */
  floats: number;
  /** The worker that fills it. */
  from: number;
  /** The workers that read it. */
  readers: number[];
}

/** Position of the abort flag in `control`. */
export const ABORT = 0;

export type Pass = 'forward' | 'backward';

/**
 * The name of a slot.
 *
 * @param exchange the layer that reads the gathered activations, or `logits`
 * @param from the rank (forward) or worker (backward) that fills it
 * @param to the rank whose gradient it carries, backward only; a forward slot is for all ranks
 */
export function slotName(exchange: string, pass: Pass, from: number, to?: number): string {
  return to === undefined ? `${exchange} ${pass} ${from}` : `${exchange} ${pass} ${from}→${to}`;
}

/**
 * Allocates the slots for one network.
 *
 * @param workers the ranks of each worker. With one worker nothing crosses, so there are no slots.
 * @param batch largest number of images
 */
export function allocateExchangeMemory(
  network: Network,
  workers: number[][],
  batch: number,
): ExchangeMemory {
  const slots: ExchangeMemory['slots'] = {};
  let count = 1;
  const add = (name: string, floats: number, from: number, readers: number[]): void => {
    slots[name] = { index: count++, floats, from, readers };
  };
  const workerOf = (rank: number): number => workers.findIndex((ranks) => ranks.includes(rank));
  const addForAll = (exchange: string, rank: number, floats: number): void => {
    const from = workerOf(rank);
    const readers = [...workers.keys()].filter((worker) => worker !== from);
    add(slotName(exchange, 'forward', rank), floats, from, readers);
  };
  if (workers.length > 1) {
    for (const layer of network.layers.filter((candidate) => candidate.gathers)) {
      const { height, width, channels } = layer.input;
      const floats = (batch * height * width * channels) / network.towers;
      workers.flat().forEach((rank) => addForAll(layer.name, rank, floats));
      workers.forEach((own, worker) => {
        workers
          .flat()
          .filter((rank) => !own.includes(rank))
          .forEach((rank) =>
            add(slotName(layer.name, 'backward', worker, rank), floats, worker, [workerOf(rank)]),
          );
      });
    }
    const floats = batch * largestShare(network.classes, network.towers);
    workers.flat().forEach((rank) => addForAll('logits', rank, floats));
  }
  return {
    control: new SharedArrayBuffer(count * Int32Array.BYTES_PER_ELEMENT),
    slots,
    activity: allocateActivity(network, workers.length),
  };
}

/** Ends every wait on `memory` with an `ExchangeAborted`, now and from now on. */
export function abortExchange(memory: ExchangeMemory): void {
  const control = new Int32Array(memory.control);
  Atomics.store(control, ABORT, 1);
  for (let index = 0; index < control.length; index++) Atomics.notify(control, index);
}
