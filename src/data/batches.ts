/**
 * The batch ring: batches of decoded images in shared memory, decoded ahead of their consumer by a pool
 * of threads. Used by the trainer in the main thread, which hands the buffers on to the towers.
 *
 *     for await (const batch of ring.train(epoch, 0)) {
 *       … read batch.pixels and batch.labels …
 *       batch.release();
 *     }
 */
import { Piscina } from 'piscina';
import type { DataConfiguration, ImageView } from '../configuration.js';
import { microseconds } from '../clock.js';
import { UserError } from '../errors.js';
import type { TraceGroup } from '../report/trace.js';
import { deriveKey, permutation } from '../random.js';
import type { Dataset } from './dataset.js';
import type { Split } from './split.js';
import { colourAxes } from './colour.js';
import type { DecodeReply, DecodeTask, DecoderSettings, Slot, Undecodable } from './decoder.js';
import { sequentialOrder } from './prepared.js';
import type { DatasetStatistics } from './statistics.js';
import { type Crops, refuseImpossibleCrops } from './views.js';

export interface Batch {
  /** uint8 [count, height, width, 3]: of each view of an example; after a smaller last batch follow bytes that mean nothing. */
  pixels: SharedArrayBuffer;
  /** int32 [count], and as above. */
  labels: SharedArrayBuffer;
  /** float32 [count, 3]: colour noise, for pixels from 0 to 1; undefined: none. */
  colours?: SharedArrayBuffer | undefined;
  /** Views in this batch; but for a test of ten crops, each of another example. */
  count: number;
  /** Its number in the epoch or in the test, from 0. */
  index: number;
  /** Gives the buffers back, to be filled with a later batch. */
  release(): void;
}

export interface BatchRingOptions {
  dataset: Dataset;
  data: Pick<DataConfiguration, 'view' | 'flip' | 'undecodableLimit'> &
    Partial<Pick<DataConfiguration, 'colour'>>;
  /** Of the training images; needed for colour noise. */
  statistics?: DatasetStatistics | null;
  /** The network's input, pixels. */
  height: number;
  width: number;
  /** Examples a batch. */
  batch: number;
  seed: number;
  /** Threads. */
  decoders: number;
  /** Batches that are decoded, waiting or in use at one time; at least 2 to decode ahead. */
  slots: number;
  /** Gets a track of each decoder, and the waits for them in the coordinator's. */
  trace?: TraceGroup | undefined;
}

/** An image of which a pass went without. */
export interface UndecodableFile {
  split: Split;
  file: string;
  reason: string;
}

export function undecodableWarning({ split, file, reason }: UndecodableFile): string {
  const instead = split === 'train' ? 'another image stands in' : 'the test goes without it';
  return `${file} cannot be decoded (${reason}); ${instead}`;
}

/** Share of a split that may be undecodable, unless the configuration says. */
const UNDECODABLE_LIMIT = 0.01;

/** One way through a split, in order. */
interface Pass {
  split: Split;
  /** Views, as a decoder counts them. */
  order: Uint32Array;
  crops: Crops;
  /** Decides the random windows; null: those of the test. */
  epoch: number | null;
  firstBatch: number;
  /** One past the last. */
  endBatch: number;
}

/** @throws UserError where not even one whole batch can be had */
export function batchesPerEpoch(count: number, batch: number): number {
  if (batch > count) {
    throw new UserError(
      `a batch of ${batch} is larger than the data set's ${count} training examples: give --batch ${count} or less`,
    );
  }
  return Math.floor(count / batch);
}

function refuseTooSmall(view: ImageView, height: number, width: number): void {
  if (view.type !== 'crop' || view.from >= Math.max(height, width)) return;
  throw new UserError(
    `data.view.from is ${view.from}, but the network's input is ${height}×${width}: make it ${Math.max(height, width)} or more`,
  );
}

export class BatchRing {
  /** Milliseconds that consumers waited for batches to be decoded, since the start. */
  waitedMs = 0;

  /** Images that could not be decoded, each once. */
  readonly undecodable: UndecodableFile[] = [];

  private readonly slots: Slot[];
  private readonly free: number[];
  private readonly pool: Piscina<DecodeTask, DecodeReply>;
  private readonly undecodableIndices = { train: new Set<number>(), test: new Set<number>() };
  /** Of the decoders that have done anything. */
  private readonly threads = new Set<number>();
  /** Starts decoding into free slots; of the pass under way. */
  private fill: (() => void) | null = null;

  constructor(private readonly options: BatchRingOptions) {
    const { dataset, data, height, width, batch, seed, decoders } = options;
    const { colour = null } = data;
    const statistics = options.statistics ?? null;
    if (colour !== null && statistics === null) throw new Error('colour noise without statistics');
    const axes = colour === null ? null : colourAxes(colour, statistics!);
    this.slots = Array.from({ length: options.slots }, () => ({
      pixels: new SharedArrayBuffer(batch * height * width * 3),
      labels: new SharedArrayBuffer(batch * 4),
      colours: axes === null ? undefined : new SharedArrayBuffer(batch * 3 * 4),
    }));
    this.free = [...this.slots.keys()];
    const { view, flip } = data;
    refuseTooSmall(view, height, width);
    const settings: DecoderSettings = {
      dataset,
      data: { view, flip },
      height,
      width,
      seed,
      colourAxes: axes,
      slots: this.slots,
    };
    this.pool = new Piscina({
      filename: new URL('../../workers/decode.js', import.meta.url).href,
      minThreads: decoders,
      maxThreads: decoders,
      workerData: settings,
    });
  }

  /**
   * The epoch's whole batches from `firstBatch` on, in an order drawn from (seed, epoch); what remains
   * of the epoch is dropped (PyTorch's `drop_last`). Windows are drawn as the configuration says. For an
   * image that cannot be decoded the next of the data set stands in.
   *
   * Only one pass, of `train` or `test`, may be under way. Leaving one early releases its batches.
   * @throws UserError for a batch larger than the data set, and for too many images that cannot be decoded
   */
  train(epoch: number, firstBatch: number): AsyncGenerator<Batch, void, void> {
    const { dataset, batch, seed } = this.options;
    const { train } = dataset;
    const endBatch = batchesPerEpoch(train.count, batch);
    const order =
      train.kind === 'prepared'
        ? sequentialOrder(seed, epoch, train)
        : permutation(deriveKey(seed, 'order', epoch), train.count);
    return this.walk({ split: 'train', order, crops: 1, epoch, firstBatch, endBatch });
  }

  /**
   * The test examples in order, whole or their centres; the last batch may be smaller, and those with
   * images that cannot be decoded, which are left out.
   * @param limit takes only so many examples
   * @param crops views of each, one after another, perhaps divided among batches
   * @throws UserError for too many images that cannot be decoded
   */
  test(limit = Infinity, crops: Crops = 1): AsyncGenerator<Batch, void, void> {
    refuseImpossibleCrops(crops, this.options.data.view);
    const count = this.testCount(limit) * crops;
    const order = Uint32Array.from({ length: count }, (_, index) => index);
    const endBatch = Math.ceil(count / this.options.batch);
    return this.walk({ split: 'test', order, crops, epoch: null, firstBatch: 0, endBatch });
  }

  /**
   * A split as the test sees it, but in an order drawn from the seed: folders list their images class by
   * class. The last batch may be smaller.
   * @throws UserError for too many images that cannot be decoded
   */
  sample(split: Split): AsyncGenerator<Batch, void, void> {
    const { dataset, batch, seed } = this.options;
    const order = permutation(deriveKey(seed, 'order', 0), dataset[split].count);
    const endBatch = Math.ceil(order.length / batch);
    return this.walk({ split, order, crops: 1, epoch: null, firstBatch: 0, endBatch });
  }

  /** Examples that `test` goes through. */
  testCount(limit = Infinity): number {
    return Math.min(limit, this.options.dataset.test.count);
  }

  /** Stops the decoders. */
  async close(): Promise<void> {
    await this.pool.destroy();
  }

  private async *walk(pass: Pass): AsyncGenerator<Batch, void, void> {
    if (this.fill !== null) throw new Error('another pass over the data is still under way');
    const decoding: Promise<Batch>[] = [];
    const given: Batch[] = [];
    let next = pass.firstBatch;
    let wake = () => {};
    this.fill = () => {
      while (next < pass.endBatch && this.free.length > 0) {
        const batch = this.decode(pass, next++, this.free.shift()!);
        // A failure is the consumer's when it comes to that batch, not an unhandled rejection before.
        batch.catch(() => {});
        decoding.push(batch);
      }
      wake();
    };
    let finished = false;
    try {
      this.fill();
      while (decoding.length > 0 || next < pass.endBatch) {
        // The consumer holds every slot.
        while (decoding.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        const asked = performance.now();
        const began = microseconds();
        const batch = await decoding.shift()!;
        this.waitedMs += performance.now() - asked;
        this.options.trace?.span('coordinator', 'wait for data', 'data', began, microseconds());
        if (batch.count === 0) {
          batch.release();
          continue;
        }
        given.push(batch);
        yield batch;
      }
      finished = true;
    } finally {
      this.fill = null;
      // No thread may still be writing into a slot that the next pass takes.
      for (const batch of await Promise.allSettled(decoding)) {
        if (batch.status === 'fulfilled') batch.value.release();
      }
      if (!finished) given.forEach((batch) => batch.release());
    }
  }

  /** Each decoder has a track, in the order in which they are first done. */
  private trace({ thread, began, ended }: DecodeReply, batch: number): void {
    this.threads.add(thread);
    const decoder = [...this.threads].indexOf(thread);
    const { trace } = this.options;
    trace?.span(`decoder ${decoder}`, `decode batch ${batch}`, 'decode', began, ended);
  }

  /** Decodes one batch into a slot, an equal share in each thread. */
  private async decode(pass: Pass, index: number, slot: number): Promise<Batch> {
    const { batch, decoders } = this.options;
    const views = pass.order.slice(index * batch, (index + 1) * batch);
    const share = Math.ceil(views.length / decoders);
    const tasks: Promise<DecodeReply>[] = [];
    for (let first = 0; first < views.length; first += share) {
      const { split, crops, epoch } = pass;
      const run = views.slice(first, first + share);
      tasks.push(this.pool.run({ slot, first, split, views: run, crops, epoch }));
    }
    // All must have ended, also where one fails, before the slot can be used again.
    const results = await Promise.allSettled(tasks);
    const undecodable: Undecodable[] = [];
    try {
      for (const result of results) {
        if (result.status === 'rejected') throw result.reason;
        this.trace(result.value, index);
        if (result.value.failure !== null) throw new UserError(result.value.failure);
        undecodable.push(...result.value.undecodable);
      }
      this.record(pass.split, undecodable);
    } catch (error) {
      // Not filled anew: the pass ends with this batch.
      this.free.push(slot);
      throw error;
    }
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      this.free.push(slot);
      this.fill?.();
    };
    const gaps = pass.epoch === null ? undecodable.map(({ position }) => position) : [];
    const count = this.closeGaps(this.slots[slot]!, gaps, views.length);
    const { pixels, labels, colours } = this.slots[slot]!;
    const until = this.options.data.colour?.until ?? Infinity;
    const hasNoise = pass.epoch !== null && pass.epoch < until;
    return { pixels, labels, colours: hasNoise ? colours : undefined, count, index, release };
  }

  /** @throws UserError where more of the split than the limit cannot be decoded */
  private record(split: Split, undecodable: Undecodable[]): void {
    for (const { index, file, reason } of undecodable) {
      if (this.undecodableIndices[split].has(index)) continue;
      this.undecodableIndices[split].add(index);
      this.undecodable.push({ split, file, reason });
    }
    const { dataset, data } = this.options;
    const { undecodableLimit: limit = UNDECODABLE_LIMIT } = data;
    const { size } = this.undecodableIndices[split];
    const { count } = dataset[split];
    if (size < count && size <= limit * count) return;
    const { file, reason } = this.undecodable.findLast((image) => image.split === split)!;
    throw new UserError(
      `${file} cannot be decoded (${reason}), nor can ${size - 1} other ${split} images, more than ${100 * limit} % of ${count}: replace or remove them, or raise data.undecodableLimit`,
    );
  }

  /** Moves the examples behind each gap up. @returns how many there are */
  private closeGaps({ pixels, labels }: Slot, gaps: number[], count: number): number {
    const bytes = pixels.byteLength / this.options.batch;
    for (const gap of gaps.toSorted((a, b) => b - a)) {
      new Uint8Array(pixels).copyWithin(gap * bytes, (gap + 1) * bytes, count * bytes);
      new Int32Array(labels).copyWithin(gap, gap + 1, count);
      count--;
    }
    return count;
  }
}
