/**
 * The transport between GPUs of one process: a worker's kernels read another's tensors where they lie, on the same GPU or over
 * the bus.
 *
 * A slot says where in the device's memory its values are, and which event happens once they are there. The publisher fills the
 * slot when its GPU has the work, not when it has done it: the reader's GPU waits for the event, and no thread does.
 *
 * Lifetime: the publisher keeps a tensor from `publish` to the next round. The coordinator begins a round only after every worker
 * has reported the end of the last, and a worker reports after it has read its loss or logits from its GPU, behind all that its
 * GPU has read of others.
 */
import * as tf from '@tensorflow/tfjs-core';
import { capabilities } from '../backend/capabilities.js';
import type { Transport } from './exchange.js';
import type { ExchangeMemory, Slot } from './slots.js';

/** Where the values of each slot are; structured-cloneable, shared by reference. */
export interface GpuPlaces {
  /** BigUint64, two per slot: the address, and the event. */
  places: SharedArrayBuffer;
  /** Ordinals of the workers' GPUs. */
  gpus: number[];
}

/** @param gpus ordinals of the GPUs of all workers */
export function allocateGpuPlaces({ slots }: ExchangeMemory, gpus: number[]): GpuPlaces {
  const count = 1 + Math.max(0, ...Object.values(slots).map(({ index }) => index));
  return { places: new SharedArrayBuffer(2 * count * BigUint64Array.BYTES_PER_ELEMENT), gpus };
}

/** One worker's end. */
export class GpuMemoryTransport implements Transport {
  private readonly places: BigUint64Array;
  private readonly gpus: number[];
  private published: tf.Tensor[] = [];

  constructor({ places, gpus }: GpuPlaces) {
    this.places = new BigUint64Array(places);
    this.gpus = gpus;
  }

  begin(): void {
    tf.dispose(this.published);
    this.published = [];
  }

  publish({ index }: Slot, tensor: tf.Tensor): void {
    const kept = tf.keep(tf.clone(tensor));
    this.published.push(kept);
    const { address, event } = capabilities().gpuTensors!.announce(kept, index);
    this.places[2 * index] = address;
    this.places[2 * index + 1] = event;
  }

  read({ index, from }: Slot, shape: number[]): tf.Tensor {
    const address = this.places[2 * index]!;
    const event = this.places[2 * index + 1]!;
    return capabilities().gpuTensors!.tensorAt(this.gpus[from]!, { address, event }, shape);
  }
}
