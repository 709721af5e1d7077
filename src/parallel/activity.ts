/**
 * What each worker is doing, in shared memory. From it the coordinator tells where a worker failed when the worker
 * itself no longer can, and sees that a worker makes no progress.
 */
import type { Network } from '../model/network.js';

/** The phrase for each activity, with a layer's name where that is known. */
const PHRASES = {
  start: () => 'starting',
  forward: (layer: string) => `in the forward pass of ${layer}`,
  // The engine goes back kernel by kernel; the layer is known only where an exchange crosses to other ranks.
  backward: (layer: string) => `in the backward pass, down from ${layer}`,
  waitForward: (layer: string, rank: number) => `waiting for rank ${rank} at ${layer} (forward)`,
  waitBackward: (layer: string, worker: number) =>
    `waiting for worker ${worker} at ${layer} (backward)`,
  waitReplicas: () => 'waiting for the gradients of the other hosts',
  check: () => 'checking the gradients',
  update: (layer: string) => `updating ${layer}`,
  store: (layer: string) => `storing ${layer}`,
  load: (layer: string) => `loading ${layer}`,
} as const;

export type ActivityName = keyof typeof PHRASES;

const NAMES = Object.keys(PHRASES) as ActivityName[];

/** Int32 fields per worker: progress counter, activity, layer, awaited peer. */
const WIDTH = 4;

/** Structured-cloneable, shared by reference. */
export interface ActivityMemory {
  words: SharedArrayBuffer;
  /** Names of the layers, then of what else the workers wait for. */
  places: string[];
}

export function allocateActivity(network: Network, workers: number): ActivityMemory {
  return {
    words: new SharedArrayBuffer(workers * WIDTH * Int32Array.BYTES_PER_ELEMENT),
    places: [...network.layers.map(({ name }) => name), 'logits', 'labels', 'verdict'],
  };
}

/** One worker's end. */
export class Activity {
  private readonly words: Int32Array;
  private readonly indices: Map<string, number>;

  constructor({ words, places }: ActivityMemory, worker: number) {
    this.words = new Int32Array(words, worker * WIDTH * Int32Array.BYTES_PER_ELEMENT, WIDTH);
    this.indices = new Map(places.map((place, index) => [place, index]));
  }

  /**
   * Begins another activity, which counts as progress.
   *
   * @param layer its name, or `logits`
   * @param peer the rank or worker that this worker waits for
   */
  moveTo(activity: ActivityName, layer: string, peer = 0): void {
    Atomics.store(this.words, 1, NAMES.indexOf(activity));
    Atomics.store(this.words, 2, this.indices.get(layer) ?? 0);
    Atomics.store(this.words, 3, peer);
    Atomics.add(this.words, 0, 1);
  }
}

/** The coordinator's end. */
export class ActivityView {
  private readonly words: Int32Array;
  private readonly places: string[];

  /** @param first position in the memory of this host's first worker; the methods count from it */
  constructor(
    { words, places }: ActivityMemory,
    private readonly first = 0,
  ) {
    this.words = new Int32Array(words);
    this.places = places;
  }

  /** Sum of all workers' progress counters, modulo 2³². */
  moves(): number {
    let sum = 0;
    for (let word = 0; word < this.words.length; word += WIDTH) {
      sum = (sum + Atomics.load(this.words, word)) | 0;
    }
    return sum;
  }

  isWaiting(worker: number): boolean {
    return this.activityOf(worker).startsWith('wait');
  }

  waitsForReplicas(worker: number): boolean {
    return this.activityOf(worker) === 'waitReplicas';
  }

  /** The activity in words, such as `in the forward pass of conv3`. */
  describe(worker: number): string {
    return PHRASES[this.activityOf(worker)](this.placeOf(worker), this.word(worker, 3));
  }

  /** The rank (forward) or worker (backward) that a worker waits for, and where; null if it waits for none. */
  awaitedBy(worker: number): { pass: 'forward' | 'backward'; peer: number; place: string } | null {
    const activity = this.activityOf(worker);
    if (activity !== 'waitForward' && activity !== 'waitBackward') return null;
    const pass = activity === 'waitForward' ? 'forward' : 'backward';
    return { pass, peer: this.word(worker, 3), place: this.placeOf(worker) };
  }

  private activityOf(worker: number): ActivityName {
    return NAMES[this.word(worker, 1)]!;
  }

  private placeOf(worker: number): string {
    return this.places[this.word(worker, 2)]!;
  }

  private word(worker: number, field: number): number {
    return Atomics.load(this.words, (this.first + worker) * WIDTH + field);
  }
}
