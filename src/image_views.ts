/**
 * What the network sees of images that all have one size, where a GPU cuts, flips and resizes them: one window per image.
 * `data.view` of the configuration says which windows there are (src/data/views.ts).
 */

/** Pixels. */
export interface Size {
  height: number;
  width: number;
}

/** Numbers of a window in `ImageViews.windows`. */
export const WINDOW_NUMBERS = 5;

export interface ImageViews {
  /** int32 [count, 5]: top, left, height, width, and 1 if it is flipped, else 0. The buffer may be longer. */
  windows: SharedArrayBuffer;
  /** Size of the images. */
  source: Size;
  /**
   * What the windows are cut from. From the `source`: each window has the source's size, may reach over its edges, where it is
   * black, and is resized. From the `resized` image: each window has the size of the network's input and lies inside.
   */
  cutFrom: 'source' | 'resized';
  /** Size after resizing. It is the network's input if windows are cut from the source. */
  resized: Size;
}
