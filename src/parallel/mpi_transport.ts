/**
 * The transport between hosts, over MPI. Within a host, values go the way of another transport.
 *
 * What several workers of a host read is sent to that host once: one of them receives it, into memory that they share,
 * and tells the others by the slot's round. A message's tag is its slot, so workers need not agree on an order.
 *
 * MPI moves bytes only while somebody waits for them. So all that a worker will receive in an exchange is announced to
 * MPI before it waits, and it leaves the exchange only when all that it has sent is gone.
 */
import * as tf from '@tensorflow/tfjs-core';
import { capabilities } from '../backend/capabilities.js';
import type { Transport } from './exchange.js';
import { ProcessGroup } from './process_group.js';
import type { GroupHandle, Ticket } from './process_group.js';
import type { SlotCopies } from './slot_copies.js';
import type { Slot } from './slots.js';

/** How a worker reaches those on other hosts. */
export interface HostConnection {
  /** The hosts that exchange with each other, in the order of their workers. */
  group: GroupHandle;
  /** Number of workers on each host. */
  workersPerHost: number;
}

/** A message on its way. */
interface Sending {
  ticket: Ticket;
  host: number;
  /** Keeps the values; null if they are a copy. */
  tensor: tf.Tensor | null;
}

/** One worker's end. */
export class MpiTransport implements Transport {
  private readonly group: ProcessGroup;
  private readonly workersPerHost: number;
  /** By the slot's index. */
  private readonly receiving = new Map<number, Ticket>();
  private sending: Sending[] = [];

  /**
   * @param within the transport within this host
   * @param arrivals memory of the slots that other hosts fill
   * @param worker this worker's position among those of all hosts
   */
  constructor(
    private readonly within: Transport,
    private readonly arrivals: SlotCopies,
    { group, workersPerHost }: HostConnection,
    private readonly worker: number,
  ) {
    this.group = new ProcessGroup(group);
    this.workersPerHost = workersPerHost;
  }

  begin(): void {
    this.within.begin();
  }

  publish(slot: Slot, tensor: tf.Tensor): void {
    const here = slot.readers.filter((reader) => this.isHere(reader));
    if (here.length > 0) this.within.publish({ ...slot, readers: here }, tensor);
    const elsewhere = slot.readers.filter((reader) => !this.isHere(reader));
    for (const host of new Set(elsewhere.map((reader) => this.hostOf(reader)))) {
      const { values, kept } = valuesToSend(tensor);
      const ticket = this.group.send(values, host, slot.index);
      this.sending.push({ ticket, host, tensor: kept });
    }
  }

  isFromElsewhere({ from }: Slot): boolean {
    return !this.isHere(from);
  }

  expect(slot: Slot, length: number): void {
    if (this.isHere(slot.from) || this.receiverOf(slot) !== this.worker) return;
    const values = this.arrivalsOf(slot, length);
    const ticket = this.group.receive(values, this.hostOf(slot.from), slot.index);
    this.receiving.set(slot.index, ticket);
  }

  receive({ index }: Slot, milliseconds: number): boolean | undefined {
    const ticket = this.receiving.get(index);
    if (ticket === undefined) return undefined;
    const isThere = this.group.wait(ticket, milliseconds);
    if (isThere) this.receiving.delete(index);
    return isThere;
  }

  unsent(milliseconds: number): number | null {
    for (;;) {
      const [first] = this.sending;
      if (first === undefined) return null;
      if (!this.group.wait(first.ticket, milliseconds)) return first.host * this.workersPerHost;
      first.tensor?.dispose();
      this.sending.shift();
    }
  }

  read(slot: Slot, shape: number[]): tf.Tensor {
    if (this.isHere(slot.from)) return this.within.read(slot, shape);
    return tf.tensor(this.arrivalsOf(slot, tf.util.sizeFromShape(shape)), shape, 'float32');
  }

  private arrivalsOf({ index }: Slot, length: number): Float32Array {
    return new Float32Array(this.arrivals[index]!, 0, length);
  }

  /** The worker of this host that receives a slot for all: another one for each worker that fills slots. */
  private receiverOf({ from, readers }: Slot): number {
    const here = readers.filter((reader) => this.isHere(reader));
    return here[from % here.length]!;
  }

  private hostOf(worker: number): number {
    return Math.floor(worker / this.workersPerHost);
  }

  private isHere(worker: number): boolean {
    return this.hostOf(worker) === this.group.rank;
  }
}

/** The tensor's values, in its own memory where that can be shared with another thread. */
function valuesToSend(tensor: tf.Tensor): { values: Float32Array; kept: tf.Tensor | null } {
  const shared = capabilities().sharedTensors;
  if (shared === undefined) return { values: tensor.dataSync<'float32'>(), kept: null };
  const kept = tf.keep(shared.inShareableMemory(tensor));
  return { values: shared.sharedValuesOf(kept), kept };
}
