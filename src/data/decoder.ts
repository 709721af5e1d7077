/**
 * A decoder thread's work: reads examples of a split, cuts out and resizes what the network sees of them
 * and writes that into a slot of the batch ring. Called by workers/decode.ts.
 *
 * An example's bytes depend on (data set, seed, epoch, index) alone, whichever thread decodes it.
 */
import type { DataConfiguration } from '../configuration.js';
import { drawColour } from './colour.js';
import { readRecord } from './cifar10.js';
import type { Dataset } from './dataset.js';
import type { Split } from './split.js';
import { pathAt } from './file_list.js';
import { drawGeneratedImage } from './generated.js';
import { type Image, MOST_PIXELS, UndecodableImage } from './image.js';
import { ShardReader } from './prepared.js';
import { drawRandomImage } from './random_images.js';
import { BilinearResizer } from './resize.js';
import {
  type Crops,
  centreWindow,
  cutInto,
  drawWindow,
  sizeWithShorterSide,
  testWindows,
} from './views.js';

/** Where one batch is put; both are shared by all threads. */
export interface Slot {
  /** uint8 [batch, height, width, 3] */
  pixels: SharedArrayBuffer;
  /** int32 [batch] */
  labels: SharedArrayBuffer;
  /** float32 [batch, 3]: what is added to each example's colour, pixels from 0 to 1; undefined: nothing. */
  colours?: SharedArrayBuffer | undefined;
}

/** What every decoder thread knows from its start. */
export interface DecoderSettings {
  dataset: Dataset;
  data: Pick<DataConfiguration, 'view' | 'flip'>;
  /** The network's input, pixels. */
  height: number;
  width: number;
  seed: number;
  /** Of the colour noise in training, as `colourAxes` gives them; null: none. */
  colourAxes: number[][] | null;
  slots: Slot[];
}

/** A run of a batch. */
export interface DecodeTask {
  /** Index into `slots`. */
  slot: number;
  /** Position in the batch of the first of `views`. */
  first: number;
  split: Split;
  /** View v is of the split's example ⌊v / crops⌋, in a test in its window v mod crops. */
  views: Uint32Array;
  crops: Crops;
  /** Decides the random windows; null: those of the test. */
  epoch: number | null;
}

/** An example that was asked for and could not be decoded. */
export interface Undecodable {
  /** Index into the split. */
  index: number;
  /** Its place in the batch. */
  position: number;
  file: string;
  reason: string;
}

interface LabelledImage {
  image: Image;
  label: number;
}

/** What became of a task. */
export interface DecodeReply {
  /** Why it failed, where a person can mend that; null: it is done. */
  failure: string | null;
  undecodable: Undecodable[];
  /** The thread that did it. */
  thread: number;
  /** Microseconds, on the clock of `clock.ts`. */
  began: number;
  ended: number;
}

export class Decoder {
  /** The example decoded last; its pixels are in the buffers below. */
  private kept: { split: Split; index: number; example: LabelledImage } | undefined;

  // Grown to the largest image met; reused so that decoding does not allocate.
  private source = new Uint8Array(0);
  private cut = new Uint8Array(0);
  private resized = new Uint8Array(0);
  private resizer: BilinearResizer | undefined;
  private readonly shards: { [split in Split]?: ShardReader } = {};

  constructor(private readonly settings: DecoderSettings) {}

  /**
   * In training the place of an example that cannot be decoded is taken by the next one of the data set
   * that can, seen through the window of the one that was asked for: the same in whichever thread, run or
   * epoch. In the test its place is left as it is.
   *
   * @returns the examples that could not be decoded, with the places that they were asked for
   * @throws UserError for a shard that was cut short
   */
  async decode({ slot, first, split, views, crops, epoch }: DecodeTask): Promise<Undecodable[]> {
    const undecodable: Undecodable[] = [];
    const { count } = this.settings.dataset[split];
    for (const [offset, view] of views.entries()) {
      const position = first + offset;
      const asked = Math.floor(view / crops);
      const window = epoch === null ? view % crops : asked;
      const tries = epoch === null ? 1 : count;
      for (let step = 0; step < tries; step++) {
        const index = (asked + step) % count;
        try {
          await this.decodeExample({ slot, position, split, index, window, crops, epoch });
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
   * Writes example `index` to its place.
   * @throws UndecodableImage where it cannot be decoded; its place is as it was
   */
  async decodeExample(place: {
    slot: number;
    position: number;
    split: Split;
    index: number;
    /** In training the example whose random window it is seen through; in a test which of `crops` windows. */
    window: number;
    crops: Crops;
    epoch: number | null;
  }): Promise<void> {
    const { slot, position, split, index, window, crops, epoch } = place;
    const { height, width, slots, data, seed, colourAxes } = this.settings;
    const { pixels, labels, colours } = slots[slot]!;
    const bytes = height * width * 3;
    const { image, label } = await this.prepared(split, index);
    const target = new Uint8Array(pixels, position * bytes, bytes);
    if (data.view.type === 'crop') {
      const cut =
        epoch === null
          ? testWindows(image, this.settings, crops)[window]!
          : drawWindow({ seed, epoch, index: window }, data.view, image, this.settings, data.flip);
      cutInto(image, cut, target);
    } else {
      this.resize(this.cutWhole(image, window, epoch), height, width, target);
    }
    new Int32Array(labels)[position] = label;
    if (epoch !== null && colours !== undefined && colourAxes !== null) {
      new Float32Array(colours).set(drawColour(seed, epoch, window, colourAxes), position * 3);
    }
  }

  /** The example as windows are cut from it; ten views of one are decoded once. */
  private async prepared(split: Split, index: number): Promise<LabelledImage> {
    if (this.kept?.split === split && this.kept.index === index) return this.kept.example;
    this.kept = undefined;
    const { view } = this.settings.data;
    const { image, label } = await this.read(split, index);
    const example = { image: view.type === 'crop' ? this.square(image, view.from) : image, label };
    this.kept = { split, index, example };
    return example;
  }

  private async read(split: Split, index: number): Promise<LabelledImage> {
    const { dataset, data } = this.settings;
    const set = dataset[split];
    switch (set.kind) {
      case 'generated':
        this.source = atLeast(this.source, 32 * 32 * 3);
        return drawGeneratedImage(set.split, index, this.source);
      case 'cifar10':
        this.source = atLeast(this.source, 32 * 32 * 3);
        return readRecord(set, index, this.source);
      case 'random': {
        const { height, width } =
          data.view.type === 'crop'
            ? { height: data.view.from, width: data.view.from }
            : this.settings;
        this.source = atLeast(this.source, height * width * 3);
        return drawRandomImage(set, index, height, width, this.source);
      }
      case 'folder': {
        const { decodeImageFile } = await import('./image_file.js');
        const file = pathAt(set.files, index);
        const image = await decodeImageFile(file);
        this.refuseTooNarrow(image, file);
        return { image, label: set.labels[index]! };
      }
      case 'prepared': {
        const { decodeImage } = await import('./image_file.js');
        const shards = (this.shards[split] ??= new ShardReader(set));
        const image = await decodeImage(shards.read(index), shards.nameOf(index));
        return { image, label: set.labels[index]! };
      }
    }
  }

  /** An image of few pixels can become one of more than fit into memory where its shorter side is made longer. */
  private refuseTooNarrow(image: Image, file: string): void {
    const { view } = this.settings.data;
    if (view.type !== 'crop') return;
    const { height, width } = sizeWithShorterSide(image, view.from);
    if (height * width <= MOST_PIXELS) return;
    throw new UndecodableImage(
      file,
      `of ${image.width}×${image.height} pixels, it would be ${width}×${height} with a shorter side of ${view.from}`,
    );
  }

  /** The window of the image's own size. */
  private cutWhole(image: Image, index: number, epoch: number | null): Image {
    const { data, seed } = this.settings;
    const { view, flip } = data;
    if (epoch === null || (view.type === 'resize' && !flip)) return image;
    this.cut = atLeast(this.cut, image.height * image.width * 3);
    cutInto(image, drawWindow({ seed, epoch, index }, view, image, image, flip), this.cut);
    return { ...image, pixels: this.cut };
  }

  /** The centre of the image after its shorter side was made `side`. */
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
