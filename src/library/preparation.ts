/** What comes before anything is opened or written, for `train` and `checkGradients`: all that can be refused is. */
import { verifyIfSummed } from '../checksums.js';
import type { Configuration } from '../configuration.js';
import { openDataset } from '../data/dataset.js';
import type { Dataset } from '../data/dataset.js';
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
  return { configuration, dataset: await openDataset(data, signal), resolved };
}
