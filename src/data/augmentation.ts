/**
 * What happens to a training image before it is resized: a random crop after zero padding
 * (`torchvision.transforms.RandomCrop(size, padding)`) and a random horizontal flip. Called by the
 * decoders; what is drawn depends on (seed, epoch, example) alone.
 */
import { RandomSequence, deriveKey } from '../random.js';
import type { Image } from './image.js';

/** Where a crop of the image's own size lies, in source pixels, each in −pad … pad. */
export interface Crop {
  top: number;
  left: number;
  /** Mirrored left to right after cropping. */
  mirrored: boolean;
}

/**
 * @param index the example's index in its split
 * @param pad black pixels added on each side; null: no crop
 * @param flip whether half of the images are mirrored
 */
export function drawCrop(
  seed: number,
  epoch: number,
  index: number,
  pad: number | null,
  flip: boolean,
): Crop {
  const random = new RandomSequence(deriveKey(seed, 'augment', epoch, index));
  const reach = pad ?? 0;
  const top = random.below(2 * reach + 1) - reach;
  const left = random.below(2 * reach + 1) - reach;
  return { top, left, mirrored: random.uniform() < 0.5 && flip };
}

/** @param out uint8 [height, width, 3] of the image's own size; black where the crop lies outside */
export function cropInto(image: Image, crop: Crop, out: Uint8Array): void {
  const { height, width, pixels } = image;
  let position = 0;
  for (let row = 0; row < height; row++) {
    const sourceRow = row + crop.top;
    for (let column = 0; column < width; column++, position += 3) {
      const sourceColumn = (crop.mirrored ? width - 1 - column : column) + crop.left;
      const inside =
        sourceRow >= 0 && sourceRow < height && sourceColumn >= 0 && sourceColumn < width;
      const source = (sourceRow * width + sourceColumn) * 3;
      out[position] = inside ? pixels[source]! : 0;
      out[position + 1] = inside ? pixels[source + 1]! : 0;
      out[position + 2] = inside ? pixels[source + 2]! : 0;
    }
  }
}
