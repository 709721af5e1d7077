/** The memory of batches, and how the images in it become what the network sees. */
import type { DataConfiguration, ImageView } from '../configuration.js';
import { type Size, WINDOW_NUMBERS } from '../image_views.js';
import type { BatchBuffers } from './decoder.js';
import type { Dataset, ExampleSet } from './examples.js';
import { BilinearResizer } from './resize.js';
import { cutInto, geometryOf } from './views.js';

/**
 * @param images most images of a batch
 * @param input the network's
 * @param leavesViews whether a GPU will cut, flip and resize, if the data set allows it
 */
export function allocateBatch(
  images: number,
  dataset: Dataset,
  { view }: Pick<DataConfiguration, 'view'>,
  input: Size,
  { hasColours, leavesViews }: { hasColours: boolean; leavesViews: boolean },
): BatchBuffers {
  const source = leavesViews ? sizeOfImages(dataset, view, input) : null;
  const { height, width } = source ?? input;
  return {
    pixels: new SharedArrayBuffer(images * height * width * 3),
    labels: new SharedArrayBuffer(images * 4),
    colours: hasColours ? new SharedArrayBuffer(images * 3 * 4) : undefined,
    views: source === null ? undefined : viewsOf(images, view, source, input),
  };
}

function viewsOf(
  images: number,
  view: ImageView,
  source: Size,
  input: Size,
): BatchBuffers['views'] {
  const windows = new SharedArrayBuffer(images * WINDOW_NUMBERS * 4);
  return { windows, ...geometryOf(view, source, input) };
}

/**
 * The size of every image of a data set, if all have one and it is known before they are decoded; else null. It is square if
 * the view is `crop`.
 */
export function sizeOfImages({ train, test }: Dataset, view: ImageView, input: Size): Size | null {
  const size = sizeIn(train, view, input);
  const other = sizeIn(test, view, input);
  return size?.height === other?.height && size?.width === other?.width ? size : null;
}

function sizeIn({ kind }: ExampleSet, view: ImageView, { height, width }: Size): Size | null {
  switch (kind) {
    case 'generated':
    case 'cifar10':
      return { height: 32, width: 32 };
    case 'random':
      return view.type === 'crop' ? { height: view.from, width: view.from } : { height, width };
    default:
      return null;
  }
}

/**
 * What the network sees of an image of a batch, before it is normalized.
 *
 * @param input the network's
 * @returns uint8 [input.height, input.width, 3]
 */
export function imageIn(
  { pixels, views }: Pick<BatchBuffers, 'pixels' | 'views'>,
  index: number,
  { height, width }: Size,
): Uint8Array {
  const size = views?.source ?? { height, width };
  const bytes = size.height * size.width * 3;
  const image = { ...size, pixels: new Uint8Array(pixels, index * bytes, bytes) };
  if (views === undefined) return image.pixels.slice();
  const numbers = new Int32Array(views.windows).subarray(index * WINDOW_NUMBERS);
  const [top = 0, left = 0, rows = 0, columns = 0, flipped = 0] = numbers;
  const window = { top, left, height: rows, width: columns, mirrored: flipped === 1 };
  const { cutFrom, resized } = views;
  const resizer = new BilinearResizer(size.height, size.width, resized.height, resized.width);
  const seen = new Uint8Array(height * width * 3);
  if (cutFrom === 'source') {
    const cut = new Uint8Array(bytes);
    cutInto(image, window, cut);
    resizer.resize(cut, seen);
  } else {
    const larger = new Uint8Array(resized.height * resized.width * 3);
    resizer.resize(image.pixels, larger);
    cutInto({ ...resized, pixels: larger }, window, seen);
  }
  return seen;
}
