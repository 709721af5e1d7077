/** Prepares a run before anything is opened or written, and refuses whatever can be refused by then. */
import { verifyIfSummed } from '../checksums.js';
import type { Configuration } from '../configuration.js';
import { openDataset } from '../data/dataset.js';
import type { Dataset } from '../data/dataset.js';
import { slowJpegWarning } from '../data/jpeg_decoder.js';
import { buildNetwork } from '../model/network.js';
import { checkEvents } from '../training/schedule.js';
import { resolveDevices } from './devices.js';
import type { Devices, ResolvedPlacement } from './devices.js';
import { asksForTowers, configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

/**
 * @param options with `init`, the safetensors file that parameters will be loaded from
 * @param resumed configuration of the run that goes on; undefined for a new one
 * @param signal ends the listing of the data, with its reason as the error
 * @throws UserError for what the caller can mend
 */
export async function prepare(
  options: Recipe & Devices & { init?: string | undefined },
  resumed?: Configuration,
  signal?: AbortSignal,
): Promise<{ configuration: Configuration; dataset: Dataset; resolved: ResolvedPlacement }> {
  const asked = resumed ?? configurationOf(options);
  const isFixed = resumed !== undefined || asksForTowers(options);
  const resolved = await resolveDevices(options, isFixed ? asked.towers : undefined, asked.towers);
  const configuration = { ...asked, towers: resolved.towers };
  const { network, towers, data, training } = configuration;
  checkEvents(training, buildNetwork(network, towers, data.classes));
  if (options.init !== undefined) verifyIfSummed(options.init);
  const dataset = await openDataset(data, signal);
  const warnings = [...resolved.warnings, ...decodingWarnings(dataset)];
  return { configuration, dataset, resolved: { ...resolved, warnings } };
}

/** Warns of a slow JPEG decoder, if the data set has image files. */
export function decodingWarnings({ train }: Dataset, warning = slowJpegWarning()): string[] {
  return train.kind === 'folder' && warning !== null ? [warning] : [];
}
