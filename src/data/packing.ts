/** The work of a thread of `data prepare`: packs some images of a split into one shard. */
import sharp from 'sharp';
import { UndecodableImage } from './image.js';
import type { SkippedFile } from './prepared.js';
import { type ExampleSet, nameOfExample } from './examples.js';
import { Decoder } from './decoder.js';
import { writeShard } from './shards.js';
import { type PixelSums, addImage, emptySums } from './statistics.js';
import { labelOf } from './examples.js';

/** Side of a prepared image in pixels: the shorter side is resized to it, then the centre is cut to a square. */
export const SIDE = 256;
/** JPEG quality, of 100: recompression changes an image about as much as its own compression did. */
const QUALITY = 95;

/**
 * The thread's memory for a decoded image and for a shard's JPEGs. New buffers for every image made the process grow
 * with the data set, because garbage of this size is freed late.
 */
const decoded = new Uint8Array(SIDE * SIDE * 3);
let jpegs = new Uint8Array(1 << 20);

export interface PackTask {
  /** Path of the shard to write. */
  shard: string;
  set: ExampleSet;
  /** Which of the set's files, in the shard's order. */
  indices: Uint32Array;
  /** Whether to sum the pixels, for statistics. */
  withSums: boolean;
}

export interface PackedShard {
  /** Examples in the shard. */
  count: number;
  skipped: SkippedFile[];
  /** Sums over the images before compression; null if the task did not ask for them. */
  sums: PixelSums | null;
}

/**
 * Decodes, resizes, cuts, compresses and writes. Holds the compressed images of one shard in memory.
 * @param afterImage called after each file
 * @throws UserError if the shard cannot be written
 */
export async function packShard(task: PackTask, afterImage: () => void): Promise<PackedShard> {
  const { shard, set, indices, withSums } = task;
  const pixels = new SharedArrayBuffer(SIDE * SIDE * 3);
  const decoder = new Decoder({
    dataset: { classes: [], train: set, test: set },
    data: { view: { type: 'crop', from: SIDE }, flip: false },
    height: SIDE,
    width: SIDE,
    seed: 0,
    colourAxes: null,
    buffers: [{ pixels, labels: new SharedArrayBuffer(4) }],
  });
  const place = {
    buffer: 0,
    position: 0,
    split: 'test',
    window: 0,
    crops: 1,
    epoch: null,
  } as const;
  const lengths: number[] = [];
  const labels: number[] = [];
  let filled = 0;
  const skipped: SkippedFile[] = [];
  const sums = withSums ? emptySums(SIDE, SIDE) : null;
  for (const index of indices) {
    try {
      await decoder.decodeExample({ ...place, index });
      decoded.set(new Uint8Array(pixels));
      if (sums !== null) addImage(sums, decoded);
      const jpeg = await compress(decoded);
      append(jpeg, filled);
      filled += jpeg.length;
      lengths.push(jpeg.length);
      labels.push(labelOf(set, index));
    } catch (error) {
      if (!(error instanceof UndecodableImage)) throw error;
      skipped.push({ file: nameOfExample(set, index), reason: error.reason });
    }
    afterImage();
  }
  writeShard(shard, { lengths, labels, jpegs: jpegs.subarray(0, filled) });
  return { count: lengths.length, skipped, sums };
}

/** Copies a JPEG behind the first `filled` bytes of `jpegs`, which grows if it must. */
function append(jpeg: Uint8Array, filled: number): void {
  if (filled + jpeg.length > jpegs.length) {
    const larger = new Uint8Array(2 * (filled + jpeg.length));
    larger.set(jpegs.subarray(0, filled));
    jpegs = larger;
  }
  jpegs.set(jpeg, filled);
}

async function compress(pixels: Uint8Array): Promise<Uint8Array> {
  const raw = { width: SIDE, height: SIDE, channels: 3 } as const;
  return sharp(pixels, { raw }).jpeg({ quality: QUALITY }).toBuffer();
}
