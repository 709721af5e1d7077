/**
 * Uniform noise with random labels at the network's size, for timing. Drawing an image costs one copy.
 *
 * Images are windows into one stretch of noise, so they overlap, which does not matter for timing.
 */
import { RandomSequence, deriveKey, threefry } from '../random.js';
import type { Split } from './split.js';
import type { Image } from './image.js';
import type { Part } from './part.js';

const NOISE_BYTES = 1 << 20;

export interface RandomSet extends Part {
  kind: 'random';
  split: Split;
  count: number;
  classes: number;
}

let noise: Uint8Array | undefined;

function drawNoise(): Uint8Array {
  const words = new Uint32Array(NOISE_BYTES / 4);
  const key = deriveKey(0, 'random images');
  for (let block = 0; block < words.length / 2; block++) {
    threefry(key, block, 0, words.subarray(block * 2, block * 2 + 2));
  }
  return new Uint8Array(words.buffer);
}

/** Writes example `index` to `pixels`, uint8 [height, width, 3], and returns it with its label. */
export function drawRandomImage(
  set: RandomSet,
  index: number,
  height: number,
  width: number,
  pixels: Uint8Array,
): { image: Image; label: number } {
  noise ??= drawNoise();
  const random = new RandomSequence(deriveKey(0, 'random image', set.split, index));
  const label = random.below(set.classes);
  const length = height * width * 3;
  let source = random.below(NOISE_BYTES);
  for (let filled = 0; filled < length; source = 0) {
    const run = noise.subarray(source, source + length - filled);
    pixels.set(run, filled);
    filled += run.length;
  }
  return { image: { height, width, pixels }, label };
}
