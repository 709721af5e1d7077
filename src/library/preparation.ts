/** Prepares a run before anything is opened or written, and refuses whatever can be refused by then. */
import { statSync } from 'node:fs';
import { verifyIfSummed } from '../checksums.js';
import type { Configuration } from '../configuration.js';
import { openDataset } from '../data/dataset.js';
import type { Dataset } from '../data/dataset.js';
import { slowJpegWarning } from '../data/jpeg_decoder.js';
import { UserError } from '../errors.js';
import { buildNetwork } from '../model/network.js';
import { chooseCheckpoint } from '../runs/checkpoint_reader.js';
import { openRunFolder } from '../runs/layout.js';
import { checkEvents } from '../training/schedule.js';
import { resolveDevices } from './devices.js';
import type { Devices, ResolvedPlacement } from './devices.js';
import { asksForTowers, configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';
import type { TrainOptions } from './train_options.js';

/** What is to be trained or checked, and where. */
export interface Preparation {
  configuration: Configuration;
  dataset: Dataset;
  resolved: ResolvedPlacement;
  /** Safetensors file of the initial parameters; undefined if they are drawn from the seed, or resumed. */
  initialModel: string | undefined;
}

/**
 * @param resumed configuration of the run to resume; undefined for a new one
 * @param signal ends the listing of the data, with its reason as the error
 * @throws UserError for what the caller can fix
 */
export async function prepare(
  options: Recipe & Devices & Pick<TrainOptions, 'init' | 'checkpoint'>,
  resumed?: Configuration,
  signal?: AbortSignal,
): Promise<Preparation> {
  const asked = resumed ?? configurationOf(options);
  const isFixed = resumed !== undefined || asksForTowers(options);
  const resolved = await resolveDevices(options, isFixed ? asked.towers : undefined, asked.towers);
  const configuration = { ...asked, towers: resolved.towers };
  const { network, towers, data, training } = configuration;
  checkEvents(training, buildNetwork(network, towers, data.classes));
  const initialModel = resumed === undefined ? initialModelOf(options) : undefined;
  const dataset = await openDataset(data, signal);
  const warnings = [...resolved.warnings, ...decodingWarnings(dataset)];
  return { configuration, dataset, resolved: { ...resolved, warnings }, initialModel };
}

/** The verified safetensors file that `init` names, itself or by its run folder. */
function initialModelOf({
  init,
  checkpoint,
}: Pick<TrainOptions, 'init' | 'checkpoint'>): string | undefined {
  const isFolder =
    init !== undefined && statSync(init, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isFolder) return chooseCheckpoint(openRunFolder(init), checkpoint).files.model;
  if (checkpoint !== undefined) {
    throw new UserError(
      '--checkpoint is of a run: give --init RUN with a run folder, or --resume RUN',
    );
  }
  if (init !== undefined) verifyIfSummed(init);
  return init;
}

/** Warns of a slow JPEG decoder, if the data set has image files. */
export function decodingWarnings({ train }: Dataset, warning = slowJpegWarning()): string[] {
  return train.kind === 'folder' && warning !== null ? [warning] : [];
}
