/**
 * The batch ring: batches of decoded images in shared memory, decoded ahead of their consumer by a pool of threads.
 *
 *     const batch = await ring.batchAt({ epoch, batch: 0 }, signal);
 *     … read batch.pixels and batch.labels …
 *     batch.release();
 */
import type { DataConfiguration } from '../configuration.js';
import { microseconds } from '../clock.js';
import { UserError } from '../errors.js';
import type { TraceTracks } from '../report/trace.js';
import { deriveKey, permutation } from '../random.js';
import { colourAxes } from './colour.js';
import type { JpegDecoder } from './choose_jpeg_decoder.js';
import { type Dataset, isEncoded } from './examples.js';
import type { Batch, Decoding, Pass } from './batch.js';
import { allocateBatch } from './batch_memory.js';
import type { BatchBuffers, Undecodable } from './decoder.js';
import { DecoderPool } from './decoder_pool.js';
import { sequentialOrder } from './packed.js';
import { sampled } from './part.js';
import type { Split } from './split.js';
import type { DatasetStatistics } from './statistics.js';
import { type UndecodableFile, UndecodableImages } from './undecodable.js';
import { closeGaps, placesOfShare } from './share.js';
import { type Crops, refuseImpossibleCrops, refuseTooSmall } from './views.js';

export type { Batch } from './batch.js';

/** A position in training. */
export interface BatchPosition {
  /** Epochs completed. */
  epoch: number;
  /** Batches completed of this epoch. */
  batch: number;
}

export interface BatchRingOptions {
  dataset: Dataset;
  data: Pick<DataConfiguration, 'view' | 'flip' | 'background' | 'undecodableLimit'> &
    Partial<Pick<DataConfiguration, 'colour'>>;
  /** Statistics of the training images; required for PCA colour augmentation. */
  statistics?: DatasetStatistics | null;
  /** The network's input, pixels. */
  height: number;
  width: number;
  /** Examples per batch. */
  batch: number;
  /** Decode only this share of each batch, of as many nearly equal ones (default: whole batches). */
  share?: { index: number; of: number };
  seed: number;
  /** Threads. */
  decoders: number;
  /** Batches that are decoded, waiting or in use at one time; at least 2 to decode ahead. */
  slots: number;
  /** Whether a GPU cuts, flips and resizes the images if all of them have one known size (default: the decoders do). */
  leavesViews?: boolean;
  /** What decodes JPEGs (default: the CPU). */
  jpegDecoder?: JpegDecoder | undefined;
  /** Milliseconds that a decoder may work on one image (default 5 minutes). */
  stallTimeoutMs?: number | undefined;
  /** Gets a track per decoder, and the waits for them in the coordinator's track. */
  trace?: TraceTracks | undefined;
}

/** Batches that the process has decoded. */
let serials = 0;

/** @throws UserError if the examples do not fill one batch */
export function batchesPerEpoch(count: number, batch: number): number {
  if (batch > count) {
    throw new UserError(
      `a batch of ${batch} is larger than the data set's ${count} training examples: give --batch ${count} or less`,
    );
  }
  return Math.floor(count / batch);
}

export class BatchRing {
  /** Milliseconds that consumers have waited for batches to be decoded. */
  waitedMs = 0;

  /** What decodes the JPEGs; undefined if the data set has none, or the caller named none. */
  readonly jpegDecoder: JpegDecoder | undefined;

  private readonly buffers: BatchBuffers[];
  /** Indices of buffers that no batch uses. */
  private readonly free: number[];
  private readonly pool: DecoderPool;
  private readonly undecodableImages: UndecodableImages;
  /** The pass that free buffers are filled for. */
  private pass: Pass | null = null;
  /** Tells a consumer that holds every buffer that one is free again. */
  private onFilled = () => {};

  constructor(private readonly options: BatchRingOptions) {
    const { dataset, data, height, width, batch, seed, decoders, stallTimeoutMs, trace } = options;
    const { view, flip, background, colour = null } = data;
    const statistics = options.statistics ?? null;
    if (colour !== null && statistics === null)
      throw new Error('colour augmentation without statistics');
    refuseTooSmall(view, height, width);
    this.jpegDecoder = isEncoded(dataset) ? options.jpegDecoder : undefined;
    const axes = colour === null ? null : colourAxes(colour, statistics!);
    const images = Math.ceil(batch / (options.share?.of ?? 1));
    const { leavesViews = false } = options;
    this.buffers = Array.from({ length: options.slots }, () =>
      allocateBatch(images, dataset, data, options, { hasColours: axes !== null, leavesViews }),
    );
    this.free = [...this.buffers.keys()];
    const settings = {
      dataset,
      data: { view, flip, background },
      height,
      width,
      seed,
      colourAxes: axes,
      buffers: this.buffers,
      jpegGpus: this.jpegDecoder?.gpus ?? [],
    };
    this.undecodableImages = new UndecodableImages(dataset, data.undecodableLimit);
    this.pool = new DecoderPool({ settings, decoders, stallTimeoutMs, trace });
  }

  /** The images that could not be decoded, each once. */
  get undecodable(): UndecodableFile[] {
    return this.undecodableImages.files;
  }

  /**
   * The training batch at a position. Asking for one position after another continues one pass, which is decoded
   * ahead. Any other position begins a new pass. A test may come in between.
   *
   * An epoch's order is drawn from (seed, epoch); examples that do not fill a last batch are dropped, as with
   * PyTorch's `drop_last`. The next decodable image of the data set replaces one that cannot be decoded.
   *
   * @param patience ends the wait at once; the batch can be asked for again
   * @throws UserError for a batch larger than the data set, for too many undecodable images, and for a decoder that
   *   works on one image for longer than the limit; the reason of `patience` if it is aborted
   */
  async batchAt({ epoch, batch }: BatchPosition, patience?: AbortSignal): Promise<Batch> {
    const { pass } = this;
    const isNext = pass?.epoch === epoch && pass.next - pass.decoding.length === batch;
    const current = isNext ? pass : this.begin(this.trainingPass(epoch, batch));
    const result = await this.take(current, patience);
    if (result === null) throw new Error(`epoch ${epoch} has no batch ${batch}`);
    return result;
  }

  private trainingPass(epoch: number, firstBatch: number): Pass {
    const { dataset, batch, seed } = this.options;
    const { train } = dataset;
    const endBatch = batchesPerEpoch(train.count, batch);
    const order =
      'firsts' in train
        ? sequentialOrder(seed, epoch, train)
        : permutation(deriveKey(seed, 'order', epoch), train.count);
    return { split: 'train', order, crops: 1, epoch, endBatch, next: firstBatch, decoding: [] };
  }

  /**
   * The test examples in order, each seen whole or through its centre. The last batch may be smaller. Examples that
   * cannot be decoded are left out.
   *
   * @param limit a sample of this many examples, drawn from the seed, because folders list class by class
   * @param crops views of each example, one after another; an example's views may span two batches
   * @param patience ends a wait at once, with its reason as the error
   * @throws UserError for too many undecodable images and for a decoder that hangs
   */
  test(
    limit = Infinity,
    crops: Crops = 1,
    patience?: AbortSignal,
  ): AsyncGenerator<Batch, void, void> {
    refuseImpossibleCrops(crops, this.options.data.view);
    const { dataset, seed } = this.options;
    const examples = sampled(dataset.test.count, limit, seed);
    const order = Uint32Array.from(
      { length: examples.length * crops },
      (_, view) => examples[Math.floor(view / crops)]! * crops + (view % crops),
    );
    return this.walk('test', order, crops, patience);
  }

  /**
   * A split as the test sees it, but in an order drawn from the seed, because folders list class by class. The last
   * batch may be smaller.
   *
   * @param patience ends a wait at once, with its reason as the error
   * @throws UserError for too many undecodable images and for a decoder that hangs
   */
  sample(split: Split, patience?: AbortSignal): AsyncGenerator<Batch, void, void> {
    const { dataset, seed } = this.options;
    const order = permutation(deriveKey(seed, 'order', 0), dataset[split].count);
    return this.walk(split, order, 1, patience);
  }

  /** The number of examples that `test` visits. */
  testCount(limit = Infinity): number {
    return Math.min(limit, this.options.dataset.test.count);
  }

  /** Ends the decoders. */
  async close(): Promise<void> {
    this.pass = null;
    await this.pool.close();
  }

  /** The batches of a test. A consumer that leaves early has its batches released. */
  private async *walk(
    split: Split,
    order: Uint32Array,
    crops: Crops,
    patience: AbortSignal | undefined,
  ): AsyncGenerator<Batch, void, void> {
    const endBatch = Math.ceil(order.length / this.options.batch);
    const pass = this.begin({ split, order, crops, epoch: null, endBatch, next: 0, decoding: [] });
    const given: Batch[] = [];
    let hasFinished = false;
    try {
      for (;;) {
        const batch = await this.take(pass, patience);
        if (batch === null) break;
        given.push(batch);
        // A share may be empty, but those who have the others wait for this one.
        if (batch.count === 0 && this.options.share === undefined) batch.release();
        else yield batch;
      }
      hasFinished = true;
    } finally {
      this.drop(pass);
      if (!hasFinished) given.forEach((batch) => batch.release());
    }
  }

  private begin(pass: Pass): Pass {
    if (this.pass?.epoch === null) throw new Error('a test of the data is still under way');
    if (this.pass !== null) this.drop(this.pass);
    this.pass = pass;
    this.fill();
    return pass;
  }

  /** Ends a pass. The buffers that it is decoding into become free when their decoders are done. */
  private drop(pass: Pass): void {
    if (this.pass === pass) this.pass = null;
    for (const decoding of pass.decoding) {
      void decoding.result.then(
        (batch) => batch.release(),
        () => {},
      );
    }
    pass.decoding = [];
  }

  /** Starts decoding into free buffers. */
  private fill(): void {
    const { pass } = this;
    while (pass !== null && pass.next < pass.endBatch && this.free.length > 0) {
      const decoding: Decoding = { result: this.decode(pass, pass.next++, this.free.shift()!) };
      decoding.result.then(
        (batch) => (decoding.batch = batch),
        // The consumer gets a failure when it comes to that batch. Until then it is not an unhandled rejection.
        () => {},
      );
      pass.decoding.push(decoding);
    }
    this.onFilled();
  }

  /** The next batch of a pass; null after the last. A failure ends the pass. */
  private async take(pass: Pass, patience: AbortSignal | undefined): Promise<Batch | null> {
    const asked = performance.now();
    const began = microseconds();
    while (pass.decoding.length === 0) {
      if (pass.next >= pass.endBatch) return null;
      const filled = new Promise<void>((resolve) => (this.onFilled = resolve));
      await this.pool.wait(filled, patience);
    }
    try {
      const batch = await this.pool.wait(pass.decoding[0]!.result, patience);
      void pass.decoding.shift();
      return batch;
    } catch (error) {
      if (patience?.aborted !== true) this.drop(pass);
      throw error;
    } finally {
      this.waitedMs += performance.now() - asked;
      this.options.trace?.span('coordinator', 'wait for data', 'data', began, microseconds());
    }
  }

  /** Decodes one batch into a buffer. */
  private async decode(pass: Pass, index: number, buffer: number): Promise<Batch> {
    const { batch } = this.options;
    const { split, crops, epoch } = pass;
    const whole = pass.order.subarray(index * batch, (index + 1) * batch);
    const { first, end } = placesOfShare(whole.length, this.options.share);
    const views = whole.slice(first, end);
    let undecodable: Undecodable[];
    try {
      undecodable = await this.pool.decode({ buffer, split, views, crops, epoch }, index);
      this.undecodableImages.record(split, undecodable);
    } catch (error) {
      this.free.push(buffer);
      this.fill();
      throw error;
    }
    let isReleased = false;
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      this.free.push(buffer);
      this.fill();
    };
    const gaps = epoch === null ? undecodable.map(({ position }) => position) : [];
    const buffers = this.buffers[buffer]!;
    const { height, width } = buffers.views?.source ?? this.options;
    const count = closeGaps(buffers, gaps, views.length, height * width * 3);
    const until = this.options.data.colour?.until ?? Infinity;
    const hasColours = epoch !== null && epoch < until;
    return {
      ...buffers,
      colours: hasColours ? buffers.colours : undefined,
      count,
      first,
      of: whole.length,
      index,
      serial: serials++,
      next: () => {
        const following = pass.decoding[0]?.batch;
        return following?.index === index + 1 ? following : undefined;
      },
      release,
    };
  }
}
