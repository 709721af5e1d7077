/** A trained network with all that it takes to classify pictures. */
import { loadConfiguration } from '../configuration.js';
import type { Configuration } from '../configuration.js';
import { normalizationOf } from '../data/normalization.js';
import type { Normalization } from '../data/normalization.js';
import { UserError } from '../errors.js';
import { buildNetwork } from '../model/network.js';
import type { Network } from '../model/network.js';
import type { StoredCheckpoint } from '../runs/checkpoint_reader.js';
import type { RunFolder } from '../runs/layout.js';
import type { TensorMap } from '../runs/safetensors.js';
import { keptStatistics } from '../runs/statistics.js';

export interface ImageModel {
  configuration: Configuration;
  network: Network;
  /** In canonical layout. */
  parameters: TensorMap;
  normalization: Normalization;
  /** Names in the order of the outputs; null if they are not known. */
  classes: string[] | null;
}

/**
 * @param parameters the checkpoint's
 * @throws UserError if the run does not know the mean of its images
 */
export function imageModelOf(
  run: RunFolder,
  { state }: StoredCheckpoint,
  parameters: TensorMap,
): ImageModel {
  const configuration = loadConfiguration({ file: run.configurationFile });
  const { network, towers, data } = configuration;
  const statistics = keptStatistics(run.path);
  if (typeof data.mean === 'string' && statistics === null) {
    throw new UserError(
      `${run.path} has no mean of its training images, which are subtracted from the pixels: import it again with --set data.mean=[R,G,B], each from 0 to 1`,
    );
  }
  return {
    configuration,
    network: buildNetwork(network, towers, data.classes),
    parameters,
    normalization: normalizationOf(configuration, statistics),
    classes: state.classes,
  };
}
