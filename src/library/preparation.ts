/** Prepares a run before anything is opened or written, and refuses whatever can be refused by then. */
import { statSync } from 'node:fs';
import { verifyIfSummed } from '../checksums.js';
import type { Configuration } from '../configuration.js';
import { openDataset } from '../data/dataset.js';
import type { RunClasses } from '../data/dataset.js';
import { type Dataset, isEncoded } from '../data/examples.js';
import { UserError } from '../errors.js';
import { buildNetwork, type Network } from '../model/network.js';
import { chooseCheckpoint } from '../runs/checkpoint_reader.js';
import { openRunFolder } from '../runs/layout.js';
import { checkEvents } from '../training/schedule.js';
import { phasesOf } from './phases.js';
import type { Phase } from './phases.js';
import { resolveDevices } from './devices.js';
import type { Devices, ResolvedPlacement } from './devices.js';
import { asksForTowers, configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';
import type { TrainOptions } from './train_options.js';

/** What is to be trained or checked, and where. */
export interface Preparation {
  configuration: Configuration;
  /** In the order of training, at least one. */
  phases: Phase[];
  resolved: ResolvedPlacement;
  /** Safetensors file of the initial parameters; undefined if they are drawn from the seed, or resumed. */
  initialModel: string | undefined;
}

/**
 * @param resumed the run to resume, with its class names if its checkpoint has them; undefined for a new one
 * @param signal ends the listing of the data, with its reason as the error
 * @param processes among which a replica may be divided (default 1)
 * @throws UserError for what the caller can fix
 */
export async function prepare(
  options: Recipe & Devices & Pick<TrainOptions, InitialOptions | 'classes'>,
  resumed?: { configuration: Configuration; classes: string[] | null },
  signal?: AbortSignal,
  processes?: number,
): Promise<Preparation> {
  const asked = resumed?.configuration ?? configurationOf(options);
  const isFixed = resumed !== undefined || asksForTowers(options);
  const asTowers = isFixed ? asked.towers : undefined;
  const resolved = await resolveDevices(options, asTowers, asked.towers, processes);
  // The data first: a stray folder among the classes is named, not the layer that it would not fit.
  const opened = await openDataset(
    asked.data,
    signal,
    runClasses(resumed?.classes, options.classes),
  );
  const configuration = withClassesOf({ ...asked, towers: resolved.towers }, opened);
  const { network, towers, training, data } = configuration;
  const built = buildNetwork(network, towers, data.classes);
  checkEvents(training, built);
  const initialModel = resumed === undefined ? initialModelOf(options, built) : undefined;
  const warnings = [...resolved.warnings, ...dataWarnings(opened, resolved)];
  const phases = phasesOf(opened, configuration);
  return { configuration, phases, resolved: { ...resolved, warnings }, initialModel };
}

type InitialOptions = 'init' | 'initExcept' | 'checkpoint';

/** The verified safetensors file that `init` names, itself or by its run folder. */
function initialModelOf(
  { init, initExcept = [], checkpoint }: Pick<TrainOptions, InitialOptions>,
  { layers }: Network,
): string | undefined {
  const names = layers.filter(({ parameters }) => parameters.length > 0).map(({ name }) => name);
  const unknown = initExcept.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new UserError(
      `--init-except: no layer "${unknown}" has parameters; there are ${names.join(', ')}`,
    );
  }
  const isFolder =
    init !== undefined && statSync(init, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isFolder) return chooseCheckpoint(openRunFolder(init), checkpoint).files.model;
  if (checkpoint !== undefined) {
    throw new UserError(
      '--checkpoint selects a checkpoint of a run: give --init RUN with a run folder, or --resume RUN',
    );
  }
  if (init !== undefined) verifyIfSummed(init);
  return init;
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

/** What was left out of a data set, and that JPEGs are decoded slowly if it may have some. */
export function dataWarnings(
  dataset: Dataset,
  { jpegWarnings }: Pick<ResolvedPlacement, 'jpegWarnings'>,
): string[] {
  const { notices = [] } = dataset;
  return isEncoded(dataset) ? [...notices, ...jpegWarnings] : notices;
}
