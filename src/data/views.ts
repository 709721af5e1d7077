/**
 * Which part of an image the network sees, and whether it is flipped: random in training, fixed in a test. Random
 * windows depend only on (seed, epoch, example).
 *
 * `data.view` of the configuration says how an image becomes the network's input:
 *
 *     resize  the whole image, resized
 *     pad     training: a window of the image's own size after padding with black, as
 *             `torchvision.transforms.RandomCrop(size, padding)` takes it, resized; test: the whole image
 *     crop    the image's shorter side is resized to `from` and its centre cut to `from` × `from`;
 *             training: a window of the network's size anywhere in it; test: the window in its centre, or
 *             ten windows whose predictions are averaged
 */
import type { ImageView } from '../configuration.js';
import { UserError } from '../errors.js';
import type { ImageViews, Size } from '../image_views.js';
import { RandomSequence, deriveKey } from '../random.js';
import type { Image } from './image.js';

/** A rectangle of source pixels. It may reach over the edges, where it is black. */
export interface Window {
  top: number;
  left: number;
  height: number;
  width: number;
  /** Whether it is flipped horizontally after cutting. */
  mirrored: boolean;
}

/**
 * The window of a training image.
 *
 * @param index the example's index in its split
 * @param image size of the image, for `crop` after it was made `from` × `from`
 * @param input size of the network's input
 * @param flip whether half of the images are flipped horizontally
 */
export function drawWindow(
  { seed, epoch, index }: { seed: number; epoch: number; index: number },
  view: ImageView,
  image: Size,
  input: Size,
  flip: boolean,
): Window {
  const random = new RandomSequence(deriveKey(seed, 'augment', epoch, index));
  const { height, width } = view.type === 'crop' ? input : image;
  const pad = view.type === 'pad' ? view.pixels : 0;
  const top = random.below(image.height - height + 2 * pad + 1) - pad;
  const left = random.below(image.width - width + 2 * pad + 1) - pad;
  return { top, left, height, width, mirrored: random.uniform() < 0.5 && flip };
}

/**
 * Where the windows of images of one size are cut, and to which size images are resized.
 *
 * @param source square if the view is `crop`
 */
export function geometryOf(
  view: ImageView,
  source: Size,
  input: Size,
): Pick<ImageViews, 'source' | 'cutFrom' | 'resized'> {
  return view.type === 'crop'
    ? { source, cutFrom: 'resized', resized: { height: view.from, width: view.from } }
    : { source, cutFrom: 'source', resized: { ...input } };
}

/** The window of `size` in the middle of an image; half a pixel too high and too far left where it cannot be exact. */
export function centreWindow(image: Size, { height, width }: Size): Window {
  const top = Math.floor((image.height - height) / 2);
  const left = Math.floor((image.width - width) / 2);
  return { top, left, height, width, mirrored: false };
}

/** Crops of an image in a test: its centre; or its centre, its corners, and the five flipped. */
export type Crops = 1 | 10;

/** The windows of a test image, its centre first. */
export function testWindows(image: Size, size: Size, crops: Crops): Window[] {
  const centre = centreWindow(image, size);
  if (crops === 1) return [centre];
  const bottom = image.height - size.height;
  const right = image.width - size.width;
  const five = [
    centre,
    { ...centre, top: 0, left: 0 },
    { ...centre, top: 0, left: right },
    { ...centre, top: bottom, left: 0 },
    { ...centre, top: bottom, left: right },
  ];
  return [...five, ...five.map((window) => ({ ...window, mirrored: true }))];
}

/** @throws UserError for ten crops of images that the network sees whole */
export function refuseImpossibleCrops(crops: Crops, view: ImageView): void {
  if (crops === 1 || view.type === 'crop') return;
  throw new UserError(
    `${crops} crops are windows smaller than the image, but data.view.type is ${view.type}: set data.view to {"type": "crop", "from": PIXELS}, or test with 1 crop`,
  );
}

/** The size of an image whose shorter side becomes `from`. Its aspect ratio is kept, except for rounding down. */
export function sizeWithShorterSide({ height, width }: Size, from: number): Size {
  return height < width
    ? { height: from, width: Math.floor((from * width) / height) }
    : { height: Math.floor((from * height) / width), width: from };
}

/** Copies a window. @param out uint8 [window.height, window.width, 3]; black outside of the image */
export function cutInto(image: Image, window: Window, out: Uint8Array): void {
  const { top, left, height, width, mirrored } = window;
  const isInside =
    top >= 0 && left >= 0 && top + height <= image.height && left + width <= image.width;
  if (isInside) {
    for (let row = 0; row < height; row++) {
      const start = ((row + top) * image.width + left) * 3;
      const end = start + width * 3;
      if (mirrored) copyMirrored(image.pixels, start, end, out, row * width * 3);
      else out.set(image.pixels.subarray(start, end), row * width * 3);
    }
    return;
  }
  const { pixels } = image;
  let position = 0;
  for (let row = 0; row < height; row++) {
    const sourceRow = row + top;
    const hasRow = sourceRow >= 0 && sourceRow < image.height;
    for (let column = 0; column < width; column++, position += 3) {
      const sourceColumn = (mirrored ? width - 1 - column : column) + left;
      const has = hasRow && sourceColumn >= 0 && sourceColumn < image.width;
      const source = (sourceRow * image.width + sourceColumn) * 3;
      out[position] = has ? pixels[source]! : 0;
      out[position + 1] = has ? pixels[source + 1]! : 0;
      out[position + 2] = has ? pixels[source + 2]! : 0;
    }
  }
}

/** Copies a row's pixels from the last to the first. */
function copyMirrored(
  pixels: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  target: number,
): void {
  for (let from = end - 3, to = target; from >= start; from -= 3, to += 3) {
    out[to] = pixels[from]!;
    out[to + 1] = pixels[from + 1]!;
    out[to + 2] = pixels[from + 2]!;
  }
}

/** @throws UserError if images are made smaller than the network's input */
export function refuseTooSmall(view: ImageView, height: number, width: number): void {
  if (view.type !== 'crop' || view.from >= Math.max(height, width)) return;
  throw new UserError(
    `data.view.from is ${view.from}, but the network's input is ${height}×${width}: make it ${Math.max(height, width)} or more`,
  );
}
