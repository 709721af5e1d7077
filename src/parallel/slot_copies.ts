/**
 * The transport that copies: each slot has shared memory of its own, which one worker writes and the others read. For
 * backends whose tensors other threads cannot see.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Transport } from './exchange.js';
import type { ExchangeMemory, Slot } from './slots.js';

/** The memory of each slot, by its index; structured-cloneable, shared by reference. */
export type SlotCopies = Record<number, SharedArrayBuffer>;

/** Allocates the memory of each slot that needs it (default: of all). */
export function allocateSlotCopies(
  { slots }: ExchangeMemory,
  isNeeded: (slot: Slot) => boolean = () => true,
): SlotCopies {
  const needed = Object.values(slots).filter(isNeeded);
  return Object.fromEntries(
    needed.map(({ index, floats }) => [
      index,
      new SharedArrayBuffer(floats * Float32Array.BYTES_PER_ELEMENT),
    ]),
  );
}

/** One worker's end. */
export class SlotCopyTransport implements Transport {
  constructor(private readonly copies: SlotCopies) {}

  begin(): void {
    // The slots of the last round are overwritten one by one.
  }

  publish(slot: Slot, tensor: tf.Tensor): void {
    this.valuesOf(slot, tensor.size).set(tensor.dataSync<'float32'>());
  }

  read(slot: Slot, shape: number[]): tf.Tensor {
    return tf.tensor(this.valuesOf(slot, tf.util.sizeFromShape(shape)), shape, 'float32');
  }

  private valuesOf({ index }: Slot, length: number): Float32Array {
    return new Float32Array(this.copies[index]!, 0, length);
  }
}
