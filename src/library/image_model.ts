/** A trained network with all that it takes to classify pictures. */
import type { Configuration } from '../configuration.js';
import type { Normalization } from '../data/normalization.js';
import type { Network } from '../model/network.js';
import type { TensorMap } from '../runs/safetensors.js';

export interface ImageModel {
  configuration: Configuration;
  network: Network;
  /** In canonical layout. */
  parameters: TensorMap;
  normalization: Normalization;
  /** Names in the order of the outputs; null if they are not known. */
  classes: string[] | null;
}
