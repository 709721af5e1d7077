/**
 * The slots of the exchange between workers, in memory that all threads share.
 *
 * A slot carries values from the one worker that fills it to those that read it. Its word in `control` is the number
 * of the round (one forward, or one forward and backward) that filled it, so that a reader knows when the values are
 * this round's. How the values themselves get across is up to the transport (`exchange.ts`).
 */
import { hostOf } from '../model/hybrid.js';
import type { Network } from '../model/network.js';
import { largestShare } from '../model/shares.js';
import { allocateActivity } from './activity.js';
import type { ActivityMemory } from './activity.js';

/** Allocated once per run; structured-cloneable, shared by reference. */
export interface ExchangeMemory {
  /** Int32: the abort flag, the round of each slot, and each worker's verdict. */
  control: SharedArrayBuffer;
  /** Position in `control` of the first worker's: the last round that it has judged, negative if not all was finite. */
  verdicts: number;
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
 * @param exchange the layer that reads the gathered activations, `labels` or `logits`
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
 * @param batch largest number of images of a host
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
  const { towers, hosts, classes } = network;
  /** The workers that exchange with a worker: all of them, or those of its host of a hybrid. */
  const partnersOf = (worker: number, isWithinHost: boolean): number[] => {
    const hostOfWorker = (one: number): number => hostOf(workers[one]![0]!, network);
    return [...workers.keys()].filter(
      (other) =>
        other !== worker && !(isWithinHost && hostOfWorker(other) !== hostOfWorker(worker)),
    );
  };
  const addForward = (exchange: string, floats: number, isWithinHost = false): void => {
    workers.forEach((ranks, worker) => {
      const readers = partnersOf(worker, isWithinHost);
      for (const rank of ranks) add(slotName(exchange, 'forward', rank), floats, worker, readers);
    });
  };
  if (workers.length > 1) {
    for (const layer of network.layers.filter((one) => one.gathers || one.gathersImages)) {
      const { height, width, channels } = layer.input;
      // Divided among hosts, a layer has their images, but as many times fewer channels.
      const floats = (batch * height * width * channels) / towers;
      const isWithinHost = layer.hosts < hosts;
      addForward(layer.name, floats, isWithinHost);
      workers.forEach((_, worker) => {
        for (const reader of partnersOf(worker, isWithinHost)) {
          for (const rank of workers[reader]!) {
            add(slotName(layer.name, 'backward', worker, rank), floats, worker, [reader]);
          }
        }
      });
    }
    addForward('logits', hosts * batch * largestShare(classes, towers * hosts));
    if (hosts > 1) addForward('labels', batch);
  }
  return {
    control: new SharedArrayBuffer((count + workers.length) * Int32Array.BYTES_PER_ELEMENT),
    verdicts: count,
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
