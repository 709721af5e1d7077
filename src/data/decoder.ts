/**
 * The work of a decoder thread: reads examples of a split, cuts and resizes them to what the network sees, and
 * writes the result into the buffers of a batch.
 *
 * An example's bytes depend only on (data set, seed, epoch, index), not on the thread that decodes it.
 */
import type { DataConfiguration } from '../configuration.js';
import { type ImageViews, type Size, WINDOW_NUMBERS } from '../image_views.js';
import { drawColour } from './colour.js';
import { readRecord } from './cifar10.js';
import type { Dataset } from './examples.js';
import type { Split } from './split.js';
import { pathAt } from './file_list.js';
import { drawGeneratedImage } from './generated.js';
import type { GpuJpegs, ImageOnGpu } from './gpu_jpegs.js';
import { type Image, MOST_PIXELS, UndecodableImage } from './image.js';
import { ShardReader, nameInShards } from './packed.js';
import { ParquetReader } from './parquet.js';
import { drawRandomImage } from './random_images.js';
import { BilinearResizer } from './resize.js';
import { placeOf } from './part.js';
import {
  type Crops,
  type Window,
  centreWindow,
  cutInto,
  drawWindow,
  sizeWithShorterSide,
  testWindows,
} from './views.js';

/** The memory of one batch, shared by all threads. */
export interface BatchBuffers {
  /** uint8 [batch, height, width, 3]: what the network sees, or with `views` the images themselves, of their own size. */
  pixels: SharedArrayBuffer;
  /** int32 [batch] */
  labels: SharedArrayBuffer;
  /** float32 [batch, 3]: PCA colour augmentation, added to pixels from 0 to 1; undefined if there is none. */
  colours?: SharedArrayBuffer | undefined;
  /** What the network sees of each image; undefined if it is cut and resized here. */
  views?: ImageViews | undefined;
}

/** What every decoder thread knows from its start: its worker data. */
export interface DecoderSettings {
  dataset: Dataset;
  data: Pick<DataConfiguration, 'view' | 'flip' | 'background'>;
  /** The network's input, pixels. */
  height: number;
  width: number;
  seed: number;
  /** The axes of PCA colour augmentation, from `colourAxes`; null if there is none. */
  colourAxes: number[][] | null;
  buffers: BatchBuffers[];
  /** Ordinals of the GPUs that decode JPEGs, over which the threads take turns; none if the CPU does. */
  jpegGpus: readonly number[];
  /** Memory of `decoder_activity.ts`. */
  activity: SharedArrayBuffer;
}

/** A run of consecutive positions of a batch. */
export interface DecodeTask {
  /** Index into `buffers`. */
  buffer: number;
  /** Position in the batch of the first of `views`. */
  first: number;
  split: Split;
  /** View v shows example ⌊v / crops⌋ of the split; in a test, through its window v mod crops. */
  views: Uint32Array;
  crops: Crops;
  /** Decides the random windows; null for the windows of the test. */
  epoch: number | null;
}

/** An example that was asked for and could not be decoded. */
export interface Undecodable {
  /** Index into the split. */
  index: number;
  /** The position in the batch that it was to fill. */
  position: number;
  file: string;
  reason: string;
}

interface LabelledImage {
  image: Image | ImageOnGpu;
  label: number;
}

/** What became of a task. */
export interface DecodeReply {
  /** The message of a failure that the user can fix; null if there was none. */
  failure: string | null;
  undecodable: Undecodable[];
  /** Number of the decoder, from 0. */
  decoder: number;
  /** Microseconds, on the clock of `clock.ts`. */
  began: number;
  ended: number;
}

export class Decoder {
  /** The example decoded last; its pixels are in the arrays below. */
  private kept: { split: Split; index: number; example: LabelledImage } | undefined;

  // Grown to the largest image met; reused so that decoding does not allocate.
  private source = new Uint8Array(0);
  private cut = new Uint8Array(0);
  private resized = new Uint8Array(0);
  private resizer: BilinearResizer | undefined;
  private readonly shards: { [split in Split]?: ShardReader } = {};
  private readonly parquet: { [split in Split]?: ParquetReader } = {};

  /** @param jpegs decodes JPEGs on a GPU (default: the CPU decodes all) */
  constructor(
    private readonly settings: Omit<DecoderSettings, 'activity' | 'jpegGpus'>,
    private readonly jpegs?: GpuJpegs,
  ) {}

  /**
   * Decodes a run of a batch.
   *
   * In training, the next decodable example of the data set replaces one that cannot be decoded. It is seen through
   * the window of the example it replaces, so the result is the same in every thread, run and epoch. In a test, the
   * position keeps its old bytes.
   *
   * @param onBegin called with each example's index before it is read
   * @returns the examples that could not be decoded, with their positions
   * @throws UserError for a shard that was cut short
   */
  async decode(
    { buffer, first, split, views, crops, epoch }: DecodeTask,
    onBegin?: (index: number) => void,
  ): Promise<Undecodable[]> {
    const undecodable: Undecodable[] = [];
    const { count } = this.settings.dataset[split];
    for (const [offset, view] of views.entries()) {
      const position = first + offset;
      const asked = Math.floor(view / crops);
      const window = epoch === null ? view % crops : asked;
      const tries = epoch === null ? 1 : count;
      for (let step = 0; step < tries; step++) {
        const index = (asked + step) % count;
        onBegin?.(index);
        try {
          await this.decodeExample({ buffer, position, split, index, window, crops, epoch });
          break;
        } catch (error) {
          if (!(error instanceof UndecodableImage)) throw error;
          const { file, reason } = error;
          undecodable.push({ index, position, file, reason });
        }
      }
    }
    return undecodable;
  }

  /**
   * Writes example `index` to its position.
   * @throws UndecodableImage if it cannot be decoded; its position keeps its old bytes
   */
  async decodeExample(place: {
    buffer: number;
    position: number;
    split: Split;
    index: number;
    /** In training, the example whose random window it is seen through; in a test, which of `crops` windows. */
    window: number;
    crops: Crops;
    epoch: number | null;
  }): Promise<void> {
    const { buffer, position, split, index, window, crops, epoch } = place;
    const { dataset, buffers, data, seed, colourAxes } = this.settings;
    const { pixels, labels, colours, views } = buffers[buffer]!;
    const { height, width } = views?.source ?? this.settings;
    const bytes = height * width * 3;
    const { image, label } = await this.windowSource(split, index, views !== undefined);
    const target = new Uint8Array(pixels, position * bytes, bytes);
    if ('isOnGpu' in image) {
      const { view } = data;
      const whole = view.type === 'crop' ? { height: view.from, width: view.from } : image;
      const seen = this.windowOf(whole, window, crops, epoch);
      this.jpegs!.show(image, view, seen, { height, width }, target);
    } else if (views !== undefined) {
      target.set(image.pixels.subarray(0, bytes));
      const { cutFrom } = views;
      const { top, left, ...size } = this.windowOf(views[cutFrom], window, crops, epoch);
      const numbers = [top, left, size.height, size.width, Number(size.mirrored)];
      new Int32Array(views.windows).set(numbers, position * WINDOW_NUMBERS);
    } else if (data.view.type === 'crop') {
      cutInto(image, this.windowOf(image, window, crops, epoch), target);
    } else {
      this.resize(this.cutWhole(image, window, epoch), height, width, target);
    }
    new Int32Array(labels)[position] = dataset.relabelled?.[label] ?? label;
    if (epoch !== null && colours !== undefined && colourAxes !== null) {
      new Float32Array(colours).set(drawColour(seed, epoch, window, colourAxes), position * 3);
    }
  }

  /**
   * The image that windows are cut from, or as it is in the data set. It is kept, so that ten crops of one example decode it
   * once.
   */
  private async windowSource(split: Split, index: number, asItIs: boolean): Promise<LabelledImage> {
    if (this.kept?.split === split && this.kept.index === index) return this.kept.example;
    this.kept = undefined;
    const { view } = this.settings.data;
    const { image, label } = await this.read(split, index);
    const isSquare = view.type === 'crop' && !asItIs && !('isOnGpu' in image);
    const example = { image: isSquare ? this.square(image, view.from) : image, label };
    this.kept = { split, index, example };
    return example;
  }

  private async read(split: Split, index: number): Promise<LabelledImage> {
    const { dataset, data } = this.settings;
    const set = dataset[split];
    const place = placeOf(set, index);
    switch (set.kind) {
      case 'generated':
        this.source = atLeast(this.source, 32 * 32 * 3);
        return drawGeneratedImage(set.split, place, this.source);
      case 'cifar10':
        this.source = atLeast(this.source, 32 * 32 * 3);
        return readRecord(set, place, this.source);
      case 'random': {
        const { height, width } =
          data.view.type === 'crop'
            ? { height: data.view.from, width: data.view.from }
            : this.settings;
        this.source = atLeast(this.source, height * width * 3);
        return drawRandomImage(set, place, height, width, this.source);
      }
      case 'folder': {
        const { readImageFile } = await import('./image_file.js');
        const file = pathAt(set.files, place);
        const image = await this.decodeFile(readImageFile(file), file);
        this.refuseTooNarrow(image, file);
        return { image, label: set.labels[place]! };
      }
      case 'prepared':
      case 'tar': {
        const shards = (this.shards[split] ??= new ShardReader(set));
        const image = await this.decodeFile(shards.read(place), nameInShards(set, place));
        return { image, label: set.labels[place]! };
      }
      case 'parquet': {
        const reader = (this.parquet[split] ??= new ParquetReader(set));
        const name = nameInShards(set, place);
        const image = await this.decodeFile(await reader.read(place, name), name);
        this.refuseTooNarrow(image, name);
        return { image, label: set.labels[place]! };
      }
    }
  }

  private async decodeFile(bytes: Uint8Array, name: string): Promise<Image | ImageOnGpu> {
    const onGpu = this.jpegs?.decode(bytes, name);
    if (onGpu != null) return onGpu;
    const { decodeImage } = await import('./image_file.js');
    return decodeImage(bytes, name, this.settings.data.background);
  }

  /** A very narrow image could exceed the memory once its shorter side is enlarged. */
  private refuseTooNarrow(image: Size, file: string): void {
    const { view } = this.settings.data;
    if (view.type !== 'crop') return;
    const { height, width } = sizeWithShorterSide(image, view.from);
    if (height * width <= MOST_PIXELS) return;
    throw new UndecodableImage(
      file,
      `of ${image.width}×${image.height} pixels, it would be ${width}×${height} with a shorter side of ${view.from}`,
    );
  }

  /** The window of an image that the network sees; with `crop`, of its central square. */
  private windowOf(image: Size, window: number, crops: Crops, epoch: number | null): Window {
    const { data, seed, height, width } = this.settings;
    const input = data.view.type === 'crop' ? { height, width } : image;
    return epoch === null
      ? testWindows(image, input, crops)[window]!
      : drawWindow({ seed, epoch, index: window }, data.view, image, input, data.flip);
  }

  /** The training image seen through a window of its own size; a test image as it is. */
  private cutWhole(image: Image, index: number, epoch: number | null): Image {
    const { view, flip } = this.settings.data;
    if (epoch === null || (view.type === 'resize' && !flip)) return image;
    this.cut = atLeast(this.cut, image.height * image.width * 3);
    cutInto(image, this.windowOf(image, index, 1, epoch), this.cut);
    return { ...image, pixels: this.cut };
  }

  /** Resizes the image's shorter side to `side` and cuts its centre. */
  private square(image: Image, side: number): Image {
    if (image.height === side && image.width === side) return image;
    const { height, width } = sizeWithShorterSide(image, side);
    this.resized = atLeast(this.resized, height * width * 3);
    this.resize(image, height, width, this.resized);
    const resized = { height, width, pixels: this.resized };
    if (height === width) return resized;
    const square = { height: side, width: side };
    this.cut = atLeast(this.cut, side * side * 3);
    cutInto(resized, centreWindow(resized, square), this.cut);
    return { ...square, pixels: this.cut };
  }

  private resize(image: Image, height: number, width: number, out: Uint8Array): void {
    if (image.height === height && image.width === width) {
      out.set(image.pixels.subarray(0, height * width * 3));
      return;
    }
    const { resizer } = this;
    const fits =
      resizer?.inHeight === image.height &&
      resizer.inWidth === image.width &&
      resizer.outHeight === height &&
      resizer.outWidth === width;
    if (!fits) this.resizer = new BilinearResizer(image.height, image.width, height, width);
    this.resizer!.resize(image.pixels, out);
  }
}

function atLeast(buffer: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  return buffer.length >= length ? buffer : new Uint8Array(length);
}
