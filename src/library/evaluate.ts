/** Testing a run's latest checkpoint as a function: `evaluate` of the package and of the command line. */
import { undecodableWarning } from '../data/batches.js';
import { openDataset } from '../data/dataset.js';
import { type Crops, refuseImpossibleCrops } from '../data/views.js';
import { loadParameters } from '../runs/tensors.js';
import { checkpointFiles, requireCheckpoint } from '../runs/checkpoint.js';
import { evaluate as evaluateTowers } from '../training/evaluation.js';
import type { TestResult } from '../runs/summary.js';
import type { RunEvents } from '../runs/events.js';
import { openRunFolder } from '../runs/layout.js';
import { statisticsFor } from '../runs/statistics.js';
import { withTowers } from '../training/session.js';
import { resolveDevices } from './devices.js';
import type { Devices } from './devices.js';
import { decodingWarnings } from './preparation.js';
import { configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

export interface EvaluateOptions extends Pick<Recipe, 'data' | 'batch'>, Devices {
  /** Views of each image, whose probabilities are averaged; without it as the run's last test. */
  crops?: Crops | undefined;
  /** Leave dropout on, as the seed's evaluation did; without it as the run's tests. */
  dropout?: boolean | undefined;
  /** Test only the first so many images. */
  testLimit?: number | undefined;
  /** Hears `warning` and `testing`. */
  events?: RunEvents | undefined;
  /** Aborted: stops after the batch under way, and throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

/**
 * @param path run folder
 * @throws UserError where it is none, or has no checkpoint
 */
export async function evaluate(path: string, options: EvaluateOptions = {}): Promise<TestResult> {
  const { data, batch, testLimit, events, signal } = options;
  const folder = openRunFolder(path);
  const files = checkpointFiles(requireCheckpoint(folder));
  const configuration = configurationOf({ data, batch, config: folder.configurationFile });
  const { test } = configuration;
  const { crops = test.crops, dropout = test.dropout } = options;
  refuseImpossibleCrops(crops, configuration.data.view);
  const resolved = await resolveDevices(options, configuration.towers, configuration.towers);
  const dataset = await openDataset(configuration.data);
  const warnings = [...resolved.warnings, ...decodingWarnings(dataset)];
  warnings.forEach((warning) => events?.emit('warning', warning));
  const statistics = await statisticsFor(configuration, dataset, path, events);
  return withTowers({ configuration, dataset, statistics, ...resolved }, async (towers, ring) => {
    await loadParameters(towers, files.model);
    const { classes } = dataset;
    const afterBatch = (images: number, of: number) => {
      events?.emit('testing', { images, of });
      signal?.throwIfAborted();
    };
    const options = { classes, crops, dropout, limit: testLimit, afterBatch };
    const result = await evaluateTowers(towers, ring, options);
    ring.undecodable.forEach((image) => events?.emit('warning', undecodableWarning(image)));
    return result;
  });
}
