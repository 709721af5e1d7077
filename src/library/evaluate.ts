/** Tests a checkpoint of a run: `evaluate` of the package. */
import { undecodableWarning } from '../data/undecodable.js';
import { openDataset } from '../data/dataset.js';
import { type Crops, refuseImpossibleCrops } from '../data/views.js';
import { loadParameters } from '../runs/tensors.js';
import { chooseCheckpoint } from '../runs/checkpoint_reader.js';
import type { CheckpointChoice } from '../runs/checkpoint_reader.js';
import { runTest } from '../training/evaluation.js';
import type { TestResult } from '../runs/summary.js';
import type { RunEvents } from '../runs/events.js';
import { openRunFolder } from '../runs/layout.js';
import { statisticsFor } from '../runs/statistics.js';
import { withTowers } from '../training/session.js';
import { resolveDevices } from './devices.js';
import type { Devices } from './devices.js';
import { dataWarnings, runClasses, withClassesOf } from './preparation.js';
import { configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

export interface EvaluateOptions extends Pick<Recipe, 'data' | 'split' | 'batch'>, Devices {
  /** Which checkpoint to test (default: the latest). */
  checkpoint?: CheckpointChoice | undefined;
  /** Crops per image, whose probabilities are averaged (default: as in the run's last test). */
  crops?: Crops | undefined;
  /** Keep dropout active, as the reference PyTorch code did (default: as in the run's tests). */
  dropout?: boolean | undefined;
  /** Test a sample of this many images, drawn from the run's seed (default: all). */
  testLimit?: number | undefined;
  /** Emits `warning` and `testing`. */
  events?: RunEvents | undefined;
  /** File of lines `NAME IN THE DATA, NAME IN THE RUN`, if the data calls its classes otherwise than the run. */
  classes?: string | undefined;
  /** If aborted, the function finishes the current batch and throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

/**
 * @param path run folder
 * @throws UserError if it is no run folder, or has no such checkpoint
 */
export async function evaluate(path: string, options: EvaluateOptions = {}): Promise<TestResult> {
  const { data, split, batch, checkpoint, testLimit, events, signal } = options;
  const folder = openRunFolder(path);
  const { files, state } = chooseCheckpoint(folder, checkpoint);
  const asked = configurationOf({ data, split, batch, config: folder.configurationFile });
  const { test } = asked;
  const { crops = test.crops, dropout = test.dropout } = options;
  refuseImpossibleCrops(crops, asked.data.view);
  const resolved = await resolveDevices(options, asked.towers, asked.towers);
  const classesOfRun = runClasses(state.classes, options.classes);
  const dataset = await openDataset(asked.data, signal, classesOfRun);
  const configuration = withClassesOf(asked, dataset);
  const warnings = [...resolved.warnings, ...dataWarnings(dataset)];
  warnings.forEach((warning) => events?.emit('warning', warning));
  const statistics = await statisticsFor(configuration, dataset, path, events, signal);
  const session = { configuration, dataset, statistics, signal, ...resolved };
  return withTowers(session, async (coordinator, ring) => {
    await loadParameters(coordinator, files.model);
    const { classes } = dataset;
    const result = await runTest(coordinator, ring, {
      classes,
      crops,
      dropout,
      limit: testLimit,
      patience: signal,
      goesOn: (images, of) => {
        events?.emit('testing', { images, of });
        signal?.throwIfAborted();
        return true;
      },
    });
    ring.undecodable.forEach((image) => events?.emit('warning', undecodableWarning(image)));
    return result!;
  });
}
