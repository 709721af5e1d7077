/**
 * Training as a function: `train` of the package, and all that the command of that name does. The
 * command parses and prints.
 */
import { basename } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Configuration } from '../configuration.js';
import { batchesPerEpoch } from '../data/batches.js';
import { openDataset } from '../data/dataset.js';
import type { Dataset } from '../data/dataset.js';
import { refuseImpossibleCrops } from '../data/views.js';
import { UserError } from '../errors.js';
import { buildNetwork } from '../model/network.js';
import type { GradientCheck } from '../parallel/coordinator.js';
import { TraceFile } from '../report/trace.js';
import type { TraceGroup } from '../report/trace.js';
import { loadParameters } from '../training/canonical.js';
import {
  checkpointFiles,
  initialState,
  lastWholeCheckpoint,
  setAside,
} from '../training/checkpoint.js';
import type { DamagedCheckpoint, TrainerState } from '../training/checkpoint.js';
import { verifyIfSummed } from '../training/checksums.js';
import { RunEvents } from '../training/events.js';
import {
  createRunFolder,
  freeRunPath,
  openRunFolder,
  refuseTakenRunFolder,
  reopenRunFolder,
} from '../training/run_folder.js';
import type { RunFolder, Summary } from '../training/run_folder.js';
import { withTowers } from '../training/session.js';
import { TensorboardLog } from '../training/tensorboard.js';
import { train as trainTowers } from '../training/trainer.js';
import { resolveDevices } from './devices.js';
import type { Devices, ResolvedPlacement } from './devices.js';
import { configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

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
  /** New file for a trace of every step, in Chrome's format. */
  trace?: string | undefined;
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
  const batches = batchesPerEpoch(dataset.train.count, configuration.training.batch);
  if (resumed !== undefined) checkPosition(resumed.state, configuration, batches);
  const path = resumed?.run.path ?? options.out ?? freeRunPath(configuration);
  if (resumed === undefined) refuseTakenRunFolder(path);
  refuseImpossibleCrops(configuration.test.crops, configuration.data.view);
  const warnings = [...resolved.warnings, ...damageWarnings(resumed)];
  warnings.forEach((warning) => events.emit('warning', warning));

  return withTrace(options.trace, path, (trace) =>
    withTowers({ configuration, dataset, ...resolved, trace }, async (coordinator, ring) => {
      const state = resumed?.state ?? initialState(configuration);
      const initial = resumed?.files.model ?? options.init;
      if (initial !== undefined)
        await loadParameters(coordinator, initial, resumed?.files.optimizer);
      if (resumed !== undefined) {
        setAside(resumed.run, resumed.damaged);
        reopenRunFolder(resumed.run, configuration, state.step);
      }
      const run = resumed?.run ?? createRunFolder(path, configuration);
      const tensorboard = new TensorboardLog(events);
      try {
        const summary = await trainTowers({
          configuration,
          dataset,
          coordinator,
          ring,
          run,
          state,
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
    }),
  );
}

/** Opens the file that `trace` names, if it does, for a run, and completes it however `work` ends. */
async function withTrace<Result>(
  trace: string | undefined,
  run: string,
  work: (group: TraceGroup | undefined) => Promise<Result>,
): Promise<Result> {
  if (trace === undefined) return work(undefined);
  const file = new TraceFile(trace);
  try {
    return await work(file.group(basename(run)));
  } finally {
    file.close();
  }
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
  return withTowers({ configuration, dataset, ...resolved }, async (coordinator, ring) => {
    if (options.init !== undefined) await loadParameters(coordinator, options.init);
    for await (const batch of ring.train(0, 0)) {
      const checks = await coordinator.checkGradients(batch, GRADIENT_EPSILON);
      batch.release();
      return checks;
    }
    throw new Error('no batch to check gradients on');
  });
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
  buildNetwork(configuration.network, configuration.towers, configuration.data.classes);
  if (options.init !== undefined) verifyIfSummed(options.init);
  return { configuration, dataset: await openDataset(configuration.data), resolved };
}

interface ResumedRun {
  run: RunFolder;
  /** The run's own, with the options of this command over it. */
  configuration: Configuration;
  files: ReturnType<typeof checkpointFiles>;
  /** The position of its last whole checkpoint. */
  state: TrainerState;
  /** Later ones that are not. */
  damaged: DamagedCheckpoint[];
}

function runToResume(path: string, given: TrainOptions): ResumedRun {
  for (const name of ['out', 'init', 'preset', 'config'] as const) {
    if (given[name] !== undefined)
      throw new UserError(`--${name} does not go with --resume: the run has its own`);
  }
  const run = openRunFolder(path);
  const { path: whole, state, damaged } = lastWholeCheckpoint(run);
  const config = run.configurationFile;
  const configuration = configurationOf({ ...given, config });
  refuseAnotherCourse(configurationOf({ config }), configuration, path);
  return { run, configuration, files: checkpointFiles(whole), state, damaged };
}

function damageWarnings(resumed: ResumedRun | undefined): string[] {
  if (resumed === undefined) return [];
  return resumed.damaged.map(
    ({ path, problem }) =>
      `${problem}; going on from step ${resumed.state.step}, the last whole checkpoint (${path} is kept as ${path}.damaged)`,
  );
}

/** What the checkpoint's parameters and position mean nothing without. */
function refuseAnotherCourse(own: Configuration, asked: Configuration, path: string): void {
  const parts: [string, (of: Configuration) => unknown][] = [
    ['network', (of) => of.network],
    ['towers', (of) => of.towers],
    ['training.batch', (of) => of.training.batch],
    ['training.seed', (of) => of.training.seed],
  ];
  for (const [name, partOf] of parts) {
    if (isDeepStrictEqual(partOf(own), partOf(asked))) continue;
    throw new UserError(
      `${name} cannot change in the run ${path}: leave that option out, or start a new run`,
    );
  }
}

/** @throws UserError where the checkpoint is of other data, or there is nothing left to do */
function checkPosition(
  { step, epoch, batchInEpoch }: TrainerState,
  { training: { epochs, steps, batch } }: Configuration,
  batches: number,
): void {
  if (step !== epoch * batches + batchInEpoch) {
    throw new UserError(
      `the checkpoint's step ${step} is in epoch ${epoch + 1} at batch ${batchInEpoch}, but the training images make ${batches} batches of ${batch} an epoch: give the --data it was trained on`,
    );
  }
  if (epoch >= epochs || (steps !== null && step >= steps)) {
    throw new UserError(
      `the run is complete: ${epoch} of ${epochs} epochs and ${step} of ${steps ?? epochs * batches} steps; give more ${epoch >= epochs ? '--epochs' : '--steps'} to go on`,
    );
  }
}
