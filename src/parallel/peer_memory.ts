/**
 * The transport without copies: a worker reads another's tensors in place. For backends with `sharedTensors`.
 *
 * A slot says in which buffer of the publishing worker its values begin, and at which float. The buffers themselves
 * cross a message port, each once, because a step uses the same ones again and again.
 *
 * Lifetime: the publisher keeps a tensor from `publish` to the next round, so the pool does not give its buffer away
 * while it may be read. The coordinator begins a round only after every worker has reported the end of the last. The
 * reader holds the buffer too, so that it stays readable even if the publishing thread has ended.
 */
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs-core';
import { capabilities } from '../backend/capabilities.js';
import type { Transport } from './exchange.js';
import type { ExchangeMemory, Slot } from './slots.js';

/** One worker's connections to the others. */
export interface PeerConnections {
  /** Int32, two per slot: the number of the buffer, and the float at which the values begin. */
  places: SharedArrayBuffer;
  /** Ports to the other workers, null at one's own position. They must be transferred. */
  ports: (MessagePort | null)[];
}

/** Announces a buffer to a reader. The buffer announced before as `forgotten` is no longer used. */
interface Announcement {
  id: number;
  buffer: SharedArrayBuffer;
  forgotten: number | undefined;
}

/**
 * Connects the workers of this host with each other.
 *
 * @param workers of all hosts
 * @param isHere whether a worker is on this host (default: all are)
 * @returns by worker
 */
export function connectPeers(
  { slots }: ExchangeMemory,
  workers: number,
  isHere: (worker: number) => boolean = () => true,
): PeerConnections[] {
  const count = 1 + Math.max(0, ...Object.values(slots).map(({ index }) => index));
  const places = new SharedArrayBuffer(2 * count * Int32Array.BYTES_PER_ELEMENT);
  const connections = Array.from({ length: workers }, () => ({
    places,
    ports: Array.from({ length: workers }, (): MessagePort | null => null),
  }));
  for (let one = 0; one < workers; one++) {
    for (let other = one + 1; other < workers; other++) {
      if (!isHere(one) || !isHere(other)) continue;
      const { port1, port2 } = new MessageChannel();
      connections[one]!.ports[other] = port1;
      connections[other]!.ports[one] = port2;
    }
  }
  return connections;
}

/** One worker's end. */
export class PeerMemoryTransport implements Transport {
  private readonly places: Int32Array;
  private readonly peers: Peer[];
  private readonly numbers = new WeakMap<SharedArrayBuffer, number>();
  private lastNumber = 0;
  private published: tf.Tensor[] = [];

  constructor({ slots }: ExchangeMemory, { places, ports }: PeerConnections) {
    this.places = new Int32Array(places);
    // No round uses more buffers than there are slots, so a forgotten buffer belongs to a round that has ended.
    const bound = 2 * Object.keys(slots).length;
    this.peers = ports.map((port) => new Peer(port, bound));
  }

  begin(): void {
    tf.dispose(this.published);
    this.published = [];
  }

  publish(slot: Slot, tensor: tf.Tensor): void {
    const shared = capabilities().sharedTensors!;
    const kept = tf.keep(shared.inShareableMemory(tensor));
    this.published.push(kept);
    const { buffer, byteOffset } = shared.sharedValuesOf(kept);
    const id = this.numberOf(buffer);
    for (const reader of slot.readers) this.peers[reader]!.announce(id, buffer);
    this.places[2 * slot.index] = id;
    this.places[2 * slot.index + 1] = byteOffset / Float32Array.BYTES_PER_ELEMENT;
  }

  read(slot: Slot, shape: number[]): tf.Tensor {
    const buffer = this.peers[slot.from]!.bufferOf(this.places[2 * slot.index]!);
    const start = this.places[2 * slot.index + 1]! * Float32Array.BYTES_PER_ELEMENT;
    const values = new Float32Array(buffer, start, tf.util.sizeFromShape(shape));
    return tf.tensor(values, shape, 'float32');
  }

  private numberOf(buffer: SharedArrayBuffer): number {
    const number = this.numbers.get(buffer) ?? ++this.lastNumber;
    this.numbers.set(buffer, number);
    return number;
  }
}

/** Another worker, as seen from this end of the port. */
class Peer {
  /** Numbers of the buffers announced to it, least recently used first. */
  private readonly announced = new Set<number>();
  /** The buffers that it has announced, by number. */
  private readonly buffers = new Map<number, SharedArrayBuffer>();

  /** @param bound on the number of buffers that the other end holds */
  constructor(
    private readonly port: MessagePort | null,
    private readonly bound: number,
  ) {}

  announce(id: number, buffer: SharedArrayBuffer): void {
    const known = this.announced.delete(id);
    this.announced.add(id);
    if (known) return;
    const [oldest] = this.announced;
    const forgotten = this.announced.size > this.bound ? oldest : undefined;
    if (forgotten !== undefined) this.announced.delete(forgotten);
    this.port!.postMessage({ id, buffer, forgotten } satisfies Announcement);
  }

  /** Finds a buffer, announced before the slot was filled: its announcement has arrived by now. */
  bufferOf(id: number): SharedArrayBuffer {
    while (!this.buffers.has(id)) {
      const received = receiveMessageOnPort(this.port!);
      if (received === undefined) throw new Error(`no buffer ${id} was announced`);
      const announcement = received.message as Announcement;
      if (announcement.forgotten !== undefined) this.buffers.delete(announcement.forgotten);
      this.buffers.set(announcement.id, announcement.buffer);
    }
    return this.buffers.get(id)!;
  }
}
