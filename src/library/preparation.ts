/** Prepares a run before anything is opened or written, and refuses whatever can be refused by then. */
import { verifyIfSummed } from '../checksums.js';
import type { Configuration } from '../configuration.js';
import { openDataset } from '../data/dataset.js';
import type { RunClasses } from '../data/dataset.js';
import type { Dataset } from '../data/examples.js';
import { UserError } from '../errors.js';
import { slowJpegWarning } from '../data/jpeg_decoder.js';
import { buildNetwork } from '../model/network.js';
import { checkEvents } from '../training/schedule.js';
import { resolveDevices } from './devices.js';
import type { Devices, ResolvedPlacement } from './devices.js';
import { asksForTowers, configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

/**
 * @param options with `init`, the safetensors file that parameters will be loaded from
 * @param resumed the run to resume, with its class names if its checkpoint has them; undefined for a new one
 * @param signal ends the listing of the data, with its reason as the error
 * @throws UserError for what the caller can mend
 */
export async function prepare(
  options: Recipe & Devices & { init?: string | undefined; classes?: string | undefined },
  resumed?: { configuration: Configuration; classes: string[] | null },
  signal?: AbortSignal,
): Promise<{ configuration: Configuration; dataset: Dataset; resolved: ResolvedPlacement }> {
  const asked = resumed?.configuration ?? configurationOf(options);
  const isFixed = resumed !== undefined || asksForTowers(options);
  const resolved = await resolveDevices(options, isFixed ? asked.towers : undefined, asked.towers);
  // The data first: a stray folder among the classes is named, not the layer that it would not fit.
  const opened = await openDataset(
    asked.data,
    signal,
    runClasses(resumed?.classes, options.classes),
  );
  const configuration = withClassesOf({ ...asked, towers: resolved.towers }, opened);
  const { network, towers, training, data } = configuration;
  checkEvents(training, buildNetwork(network, towers, data.classes));
  if (options.init !== undefined) verifyIfSummed(options.init);
  const warnings = [...resolved.warnings, ...dataWarnings(opened)];
  return { configuration, dataset: forTraining(opened), resolved: { ...resolved, warnings } };
}

/** @param file lines `NAME IN THE DATA, NAME IN THE RUN`, given as --classes */
export function runClasses(
  classes: string[] | null | undefined,
  file: string | undefined,
): RunClasses | undefined {
  if (classes != null) return { classes, file };
  if (file === undefined) return undefined;
  throw new UserError(
    '--classes maps the classes of data to those of a run: give a run that was trained',
  );
}

/** Other data may have fewer classes than the run. */
export function withClassesOf(configuration: Configuration, { classes }: Dataset): Configuration {
  return { ...configuration, data: { ...configuration.data, classes: classes.length } };
}

/** The tests of a run see validation images if there are any, so that no choice depends on the test set. */
function forTraining({ validation, ...dataset }: Dataset): Dataset {
  return validation === undefined ? dataset : { ...dataset, test: validation };
}

/** What was left out of a data set, and that JPEGs are decoded slowly if it has image files. */
export function dataWarnings(
  { train, notices = [] }: Dataset,
  slowJpeg = slowJpegWarning(),
): string[] {
  return train.kind === 'folder' && slowJpeg !== null ? [...notices, slowJpeg] : notices;
}
