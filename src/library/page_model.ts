/** What the page of `export --format html` and its script agree on. Nothing here is of Node. */
import type { ImageView } from '../configuration.js';
import type { Crops } from '../data/views.js';
import type { NetworkSpecification } from '../model/layers.js';

/** What the script knows of the network, besides its tensors. */
export interface PageModel {
  network: NetworkSpecification;
  towers: number;
  classes: string[];
  view: ImageView;
  crops: Crops;
  /** What transparent areas show: red, green and blue, 0 to 255; undefined for white. */
  background?: [number, number, number] | undefined;
  mean: number[];
  std: number[];
}

/** Name of the tensor that is subtracted from each image, if there is one. */
export const MEAN_IMAGE = 'mean image';
