/**
 * A decoder thread's work: reads examples of a split, augments those of training, resizes them to the
 * network's size and writes them into a slot of the batch ring. Called by workers/decode.ts.
 *
 * An example's bytes depend on (data set, seed, epoch, index) alone, whichever thread decodes it.
 */
import type { DataConfiguration } from '../configuration.js';
import { cropInto, drawCrop } from './augmentation.js';
import { readRecord } from './cifar10.js';
import type { Dataset, Split } from './dataset.js';
import { drawGeneratedImage } from './generated.js';
import type { Image } from './image.js';
import { drawRandomImage } from './random_images.js';
import { BilinearResizer } from './resize.js';

/** Where one batch is put; both are shared by all threads. */
export interface Slot {
  /** uint8 [batch, height, width, 3] */
  pixels: SharedArrayBuffer;
  /** int32 [batch] */
  labels: SharedArrayBuffer;
}

/** What every decoder thread knows from its start. */
export interface DecoderSettings {
  dataset: Dataset;
  data: Pick<DataConfiguration, 'cropPad' | 'flip'>;
  /** The network's input, pixels. */
  height: number;
  width: number;
  seed: number;
  slots: Slot[];
}

/** A run of a batch's examples. */
export interface DecodeTask {
  /** Index into `slots`. */
  slot: number;
  /** Position in the batch of the first of `examples`. */
  first: number;
  split: Split;
  /** Indices into the split. */
  examples: Uint32Array;
  /** For the augmentation; null: none. */
  epoch: number | null;
}

export class Decoder {
  // Grown to the largest image met; reused so that decoding does not allocate.
  private source = new Uint8Array(0);
  private cropped = new Uint8Array(0);
  private resizer: BilinearResizer | undefined;

  constructor(private readonly settings: DecoderSettings) {}

  /** @throws UserError naming an image file that cannot be decoded */
  async decode({ slot, first, split, examples, epoch }: DecodeTask): Promise<void> {
    const { height, width, slots } = this.settings;
    const { pixels, labels } = slots[slot]!;
    const bytes = height * width * 3;
    for (const [offset, index] of examples.entries()) {
      const position = first + offset;
      const { image, label } = await this.read(split, index);
      const augmented = epoch === null ? image : this.augment(image, epoch, index);
      this.fit(augmented, new Uint8Array(pixels, position * bytes, bytes));
      new Int32Array(labels)[position] = label;
    }
  }

  private async read(split: Split, index: number): Promise<{ image: Image; label: number }> {
    const { height, width, dataset } = this.settings;
    const set = dataset[split];
    switch (set.kind) {
      case 'generated':
        this.source = atLeast(this.source, 32 * 32 * 3);
        return drawGeneratedImage(set.split, index, this.source);
      case 'cifar10':
        this.source = atLeast(this.source, 32 * 32 * 3);
        return readRecord(set, index, this.source);
      case 'random':
        this.source = atLeast(this.source, height * width * 3);
        return drawRandomImage(set, index, height, width, this.source);
      case 'folder': {
        const { decodeImageFile } = await import('./image_file.js');
        return { image: await decodeImageFile(set.files[index]!), label: set.labels[index]! };
      }
    }
  }

  private augment(image: Image, epoch: number, index: number): Image {
    const { data, seed } = this.settings;
    if (data.cropPad === null && !data.flip) return image;
    this.cropped = atLeast(this.cropped, image.height * image.width * 3);
    cropInto(image, drawCrop(seed, epoch, index, data.cropPad, data.flip), this.cropped);
    return { ...image, pixels: this.cropped };
  }

  private fit(image: Image, out: Uint8Array): void {
    const { height, width } = this.settings;
    if (image.height === height && image.width === width) {
      out.set(image.pixels.subarray(0, out.length));
      return;
    }
    if (this.resizer?.inHeight !== image.height || this.resizer.inWidth !== image.width) {
      this.resizer = new BilinearResizer(image.height, image.width, height, width);
    }
    this.resizer.resize(image.pixels, out);
  }
}

function atLeast(buffer: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  return buffer.length >= length ? buffer : new Uint8Array(length);
}
