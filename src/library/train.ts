/**
 * Training as a function: `train` of the package, and all that the command of that name does. The
 * command parses and prints.
 */
import type { Configuration } from '../configuration.js';
import { batchesPerEpoch } from '../data/batches.js';
import { openDataset } from '../data/dataset.js';
import type { Dataset } from '../data/dataset.js';
import { refuseImpossibleCrops } from '../data/views.js';
import { buildNetwork } from '../model/network.js';
import type { GradientCheck } from '../parallel/coordinator.js';
import { loadParameters } from '../training/canonical.js';
import { initialState, setAside } from '../training/checkpoint.js';
import { verifyIfSummed } from '../training/checksums.js';
import { RunEvents } from '../training/events.js';
import {
  createRunFolder,
  freeRunPath,
  refuseTakenRunFolder,
  reopenRunFolder,
} from '../training/run_folder.js';
import type { Summary } from '../training/run_folder.js';
import { checkEvents } from '../training/schedule.js';
import { keepStatistics, statisticsFor } from '../training/normalization.js';
import { withTowers } from '../training/session.js';
import { TensorboardLog } from '../training/tensorboard.js';
import { train as trainTowers } from '../training/trainer.js';
import { resolveDevices } from './devices.js';
import type { Devices, ResolvedPlacement } from './devices.js';
import { configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';
import { damageWarnings, positionAgain, runToResume } from './resume.js';

export interface TrainOptions extends Recipe, Devices {
  /** New run folder; without it `runs/PRESET`, numbered if taken. */
  out?: string | undefined;
  /** Run folder to go on with, on any devices; excludes `out`, `init`, `preset` and `config`. */
  resume?: string | undefined;
  /** Safetensors file with the initial parameters, as `export` writes it. */
  init?: string | undefined;
  /** Steps between checkpoints, besides the one at each epoch's end. */
  checkpointEvery?: number | undefined;
  /** Test only the first so many images. */
  testLimit?: number | undefined;
  /** Hears of every step, test and checkpoint. */
  events?: RunEvents | undefined;
  /** Aborted: the step is finished, a checkpoint saved, and the run ends as `interrupted`. */
  signal?: AbortSignal | undefined;
}

/** `summary.json`, and the run folder that it lies in. */
export interface TrainedRun extends Summary {
  path: string;
}

/**
 * Trains until the epochs or steps are done, or `signal` is aborted.
 *
 * @throws UserError for what the caller can mend, such as a folder that is taken; nothing is written then.
 *   A failure of the run itself is also in its `summary.json`
 */
export async function train(options: TrainOptions): Promise<TrainedRun> {
  const { events = new RunEvents(), signal = new AbortController().signal } = options;
  const resumed = options.resume === undefined ? undefined : runToResume(options.resume, options);
  const prepared = await prepare(options, resumed?.configuration);
  const { configuration, dataset, resolved } = prepared;
  // A batch that is too large is refused before anything is opened.
  batchesPerEpoch(dataset.train.count, configuration.training.batch);
  const state = resumed
    ? positionAgain(resumed, configuration.training, dataset.train.count)
    : initialState(configuration);
  const path = resumed?.run.path ?? options.out ?? freeRunPath(configuration);
  if (resumed === undefined) refuseTakenRunFolder(path);
  refuseImpossibleCrops(configuration.test.crops, configuration.data.view);
  const warnings = [...resolved.warnings, ...damageWarnings(resumed)];
  warnings.forEach((warning) => events.emit('warning', warning));

  const statistics = await statisticsFor(configuration, dataset, resumed?.run.path);
  return withTowers(
    { configuration, dataset, statistics, ...resolved },
    async (coordinator, ring) => {
      const initial = resumed?.files.model ?? options.init;
      if (initial !== undefined)
        await loadParameters(coordinator, initial, resumed?.files.optimizer);
      if (resumed !== undefined) {
        setAside(resumed.run, resumed.damaged);
        reopenRunFolder(resumed.run, configuration, state.step);
      }
      const run = resumed?.run ?? createRunFolder(path, configuration);
      keepStatistics(run.path, statistics);
      const tensorboard = new TensorboardLog(events);
      try {
        const summary = await trainTowers({
          configuration,
          dataset,
          coordinator,
          ring,
          run,
          state,
          changes: resumed?.changes ?? [],
          warnings,
          checkpointEvery: options.checkpointEvery ?? null,
          testLimit: options.testLimit,
          stop: signal,
          events,
        });
        return { ...summary, path };
      } finally {
        await tensorboard.close();
      }
    },
  );
}

/** Length of the finite difference's move: float32 rounding of the loss is then about 1e-3 of a gradient of 0.1. */
const GRADIENT_EPSILON = 2e-3;

/**
 * Compares the gradients of the first batch with finite differences of the loss.
 *
 * @returns one comparison a parameter tensor; `relativeError` is a fraction
 */
export async function checkGradients(
  options: Recipe & Devices & Pick<TrainOptions, 'init' | 'events'>,
): Promise<GradientCheck[]> {
  const { configuration, dataset, resolved } = await prepare(options);
  resolved.warnings.forEach((warning) => options.events?.emit('warning', warning));
  const statistics = await statisticsFor(configuration, dataset, undefined);
  return withTowers(
    { configuration, dataset, statistics, ...resolved },
    async (coordinator, ring) => {
      if (options.init !== undefined) await loadParameters(coordinator, options.init);
      for await (const batch of ring.train(0, 0)) {
        const checks = await coordinator.checkGradients(batch, GRADIENT_EPSILON);
        batch.release();
        return checks;
      }
      throw new Error('no batch to check gradients on');
    },
  );
}

/** All that can be refused is, before anything is opened or written. */
async function prepare(
  options: Recipe & Devices & Pick<TrainOptions, 'init'>,
  resumed?: Configuration,
): Promise<{ configuration: Configuration; dataset: Dataset; resolved: ResolvedPlacement }> {
  const asked = resumed ?? configurationOf(options);
  const isFixed = resumed !== undefined || options.towers !== undefined;
  const resolved = await resolveDevices(options, isFixed ? asked.towers : undefined, asked.towers);
  const configuration = { ...asked, towers: resolved.towers };
  const { network, towers, data, training } = configuration;
  checkEvents(training, buildNetwork(network, towers, data.classes));
  if (options.init !== undefined) verifyIfSummed(options.init);
  return { configuration, dataset: await openDataset(data), resolved };
}
