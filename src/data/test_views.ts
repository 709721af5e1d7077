/** What a test shows the network of an image, for callers that have one image at a time. */
import type { ImageView } from '../configuration.js';
import type { Size } from '../image_views.js';
import type { Image } from './image.js';
import { BilinearResizer } from './resize.js';
import { centreWindow, type Crops, cutInto, sizeWithShorterSide, testWindows } from './views.js';

/**
 * @param input the network's, pixels
 * @returns uint8 [input.height, input.width, 3] of each crop, the centre first
 */
export function testViews(image: Image, view: ImageView, input: Size, crops: Crops): Uint8Array[] {
  if (view.type !== 'crop') return [resized(image, input).pixels];
  const square = { height: view.from, width: view.from };
  const larger = resized(image, sizeWithShorterSide(image, view.from));
  const centre = { ...square, pixels: cut(larger, centreWindow(larger, square)) };
  return testWindows(centre, input, crops).map((window) => cut(centre, window));
}

function resized(image: Image, { height, width }: Size): Image {
  const pixels = new Uint8Array(height * width * 3);
  new BilinearResizer(image.height, image.width, height, width).resize(image.pixels, pixels);
  return { height, width, pixels };
}

function cut(image: Image, window: Parameters<typeof cutInto>[1]): Uint8Array {
  const pixels = new Uint8Array(window.height * window.width * 3);
  cutInto(image, window, pixels);
  return pixels;
}
