/**
 * Decodes JPEGs on a GPU with nvJPEG, for a decoder thread, and cuts and resizes them there.
 *
 * Cutting and resizing give the CPU's bytes, but nvJPEG's own pixels differ a little from libjpeg-turbo's: both round
 * differently. What nvJPEG does not decode, the CPU does, and the CPU alone says whether an image can be decoded. Which of
 * them decodes a file depends on the file alone, so that its bytes in a batch do.
 */
import { kernelSource, loadCudaAddon } from '../backend/native/cuda_addon.js';
import { tapRows } from '../bilinear_taps.js';
import type { ImageView } from '../configuration.js';
import { UserError, messageOf } from '../errors.js';
import type { Size } from '../image_views.js';
import { hasEnd, plainHeader } from './jpeg_decoder.js';
import { type Window, centreWindow, sizeWithShorterSide } from './views.js';

/** Larger images are left to the CPU, so that a thread holds at most 48 MiB of the GPU's memory for its image. */
const MOST_PIXELS_ON_GPU = 1 << 24;

/** An image that is in the GPU's memory until the next one is decoded. */
export interface ImageOnGpu extends Size {
  isOnGpu: true;
}

export class GpuJpegs {
  private isOpen = false;
  /** Taps of the last resizing along rows and columns. */
  private readonly taps = [new LastTaps(), new LastTaps()] as const;

  /** Opens nothing before the first JPEG. @param batches page-locked as long as this thread writes into them */
  constructor(
    private readonly gpu: number,
    private readonly batches: readonly SharedArrayBuffer[],
  ) {}

  /**
   * @param name what messages call the file
   * @returns null if the CPU must decode it
   * @throws UserError if the GPU fails or its memory is full
   */
  decode(bytes: Uint8Array, name: string): ImageOnGpu | null {
    const size = sizeForGpu(bytes);
    if (size === null) return null;
    const { height, width } = size;
    return this.onGpu(name, () => {
      const addon = this.open();
      return addon.decodeJpeg(bytes, height, width) ? { height, width, isOnGpu: true } : null;
    });
  }

  /**
   * Writes what the network sees of the image that was decoded last.
   *
   * @param window of the image; with a view of `crop`, of its central square
   * @param target uint8 [input.height, input.width, 3]
   * @throws UserError if the GPU fails or its memory is full
   */
  show(image: ImageOnGpu, view: ImageView, window: Window, input: Size, target: Uint8Array): void {
    const isCrop = view.type === 'crop';
    const resized = isCrop ? sizeWithShorterSide(image, view.from) : input;
    const square = isCrop
      ? centreWindow(resized, { height: view.from, width: view.from })
      : { top: 0, left: 0 };
    const { top, left, height, width, mirrored } = window;
    const [rows, columns] = this.taps;
    this.onGpu('an image', () =>
      this.open().viewJpeg(
        Int32Array.of(square.top + top, square.left + left, height, width, Number(mirrored)),
        rows.of(image.height, resized.height),
        columns.of(image.width, resized.width),
        [resized.height, resized.width, input.height, input.width],
        !isCrop,
        target,
      ),
    );
  }

  private open(): ReturnType<typeof loadCudaAddon> {
    const addon = loadCudaAddon();
    if (!this.isOpen) {
      addon.openJpegs(this.gpu, kernelSource());
      // The GPUs' workers unlock them when they end, but not while another thread holds them.
      for (const batch of this.batches) addon.lockMemory(new Uint8Array(batch));
      this.isOpen = true;
    }
    return addon;
  }

  private onGpu<Result>(name: string, work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      throw new UserError(
        `nvJPEG failed on gpu:${this.gpu} with ${name}: ${messageOf(error)}; TWOTOWER_NVJPEG=never lets the CPU decode`,
        { cause: error },
      );
    }
  }
}

/** The size of a JPEG that may be decoded on a GPU; null of anything else. */
function sizeForGpu(bytes: Uint8Array): Size | null {
  // nvJPEG may make up what a file lacks at its end, and has its own idea of what the channels are.
  const header = hasEnd(bytes) ? plainHeader(bytes) : null;
  if (header === null || header.isRgb) return null;
  const { height, width } = header.size;
  return height * width > MOST_PIXELS_ON_GPU ? null : header.size;
}

/** Keeps the taps of the last sizes, which most images of a data set share. */
class LastTaps {
  private sizes: [number, number] = [0, 0];
  private rows: Int32Array = new Int32Array(0);

  of(inputs: number, outputs: number): Int32Array {
    const [lastInputs, lastOutputs] = this.sizes;
    if (inputs !== lastInputs || outputs !== lastOutputs) {
      this.rows = tapRows(inputs, outputs);
      this.sizes = [inputs, outputs];
    }
    return this.rows;
  }
}
