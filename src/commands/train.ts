/**
 *     twotower train --preset demo --gpus 0,1
 *     twotower train --preset cifar10-seed --data DIR --gpus 0 --towers 2
 *     twotower train --resume runs/demo
 *     twotower train --preset demo --gpus 0,1 --check-gradients
 */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import type { Configuration } from '../configuration.js';
import { batchesPerEpoch } from '../data/batches.js';
import type { BatchRing } from '../data/batches.js';
import { openDataset } from '../data/dataset.js';
import { UserError } from '../errors.js';
import { buildNetwork } from '../model/network.js';
import type { Coordinator, GradientCheck } from '../parallel/coordinator.js';
import { formatCount, formatTable, terminalWidth } from '../report/text.js';
import { loadParameters } from '../training/canonical.js';
import {
  checkpointFiles,
  initialState,
  requireCheckpoint,
  loadState,
} from '../training/checkpoint.js';
import type { TrainerState } from '../training/checkpoint.js';
import {
  createRunFolder,
  openRunFolder,
  refuseTakenRunFolder,
  reopenRunFolder,
} from '../training/run_folder.js';
import type { RunFolder, Summary } from '../training/run_folder.js';
import { withTowers } from '../training/session.js';
import { train } from '../training/trainer.js';
import { configurationFrom, configurationOptions, wholeNumber } from './options.js';
import type { ConfigurationArguments } from './options.js';
import { placementFrom, placementOptions } from './placement_options.js';
import type { PlacementArguments } from './placement_options.js';

const run = { group: 'Run:' } as const;

const options = {
  ...configurationOptions,
  ...placementOptions,
  out: {
    ...run,
    requiresArg: true,
    describe: 'New run folder; without it runs/PRESET, numbered if taken',
  },
  resume: {
    ...run,
    requiresArg: true,
    describe: 'Run folder to go on with, on any devices',
  },
  init: {
    ...run,
    requiresArg: true,
    describe: 'Safetensors file with the initial parameters, as export writes it',
  },
  'log-every': { ...run, requiresArg: true, default: '100', describe: 'Batches between lines' },
  'test-limit': {
    ...run,
    requiresArg: true,
    describe: 'Test only the first so many images; without it all',
  },
  'checkpoint-every': {
    ...run,
    requiresArg: true,
    describe: 'Steps between checkpoints, besides the one at each epoch’s end',
  },
  'check-gradients': {
    ...run,
    type: 'boolean',
    describe: 'Compare gradients with finite differences, then stop',
  },
} as const;

interface TrainArguments extends ConfigurationArguments, PlacementArguments {
  out?: string | undefined;
  resume?: string | undefined;
  init?: string | undefined;
  logEvery?: string | undefined;
  testLimit?: string | undefined;
  checkpointEvery?: string | undefined;
  checkGradients?: boolean | undefined;
}

/** A finite difference along the gradient misses a wrong sum or a factor by tens of percent; ReLU and pooling kinks cost about one. */
const GRADIENT_TOLERANCE = 0.03;
/** Length of the finite difference's move: float32 rounding of the loss is then about 1e-3 of a gradient of 0.1. */
const GRADIENT_EPSILON = 2e-3;

export const command: CommandModule<object, TrainArguments> = {
  command: 'train',
  describe: 'Train a network, its towers divided among workers',
  builder: (yargs) => yargs.options(options) as never,
  handler: runTraining,
};

async function runTraining(given: ArgumentsCamelCase<TrainArguments>): Promise<void> {
  const logEvery = wholeNumber('log-every', given.logEvery, 1)!;
  const checkpointEvery = wholeNumber('checkpoint-every', given.checkpointEvery, 1) ?? null;
  const testLimit = wholeNumber('test-limit', given.testLimit, 1);
  const resumed = given.resume === undefined ? undefined : runToResume(given.resume, given);
  const asked = resumed?.configuration ?? configurationFrom(given);
  const resolved = await placementFrom(
    given,
    resumed !== undefined || given.towers !== undefined ? asked.towers : undefined,
    asked.towers,
  );
  const configuration = { ...asked, towers: resolved.towers };
  // All that can be refused is, before anything is opened or written.
  buildNetwork(configuration.network, configuration.towers, configuration.data.classes);
  const dataset = await openDataset(configuration.data);
  const { batch } = configuration.training;
  const batches = batchesPerEpoch(dataset.train.count, batch);
  if (resumed !== undefined) checkPosition(resumed.state, configuration, batches);
  const path = resumed?.run.path ?? given.out ?? freeRunPath(configuration);
  if (resumed === undefined) refuseTakenRunFolder(path);
  resolved.warnings.forEach((warning) => console.error(`warning: ${warning}`));

  await withTowers({ configuration, dataset, ...resolved }, async (coordinator, ring) => {
    if (given.checkGradients === true) return checkGradients(coordinator, ring);
    const state = resumed?.state ?? initialState(configuration);
    const initial = resumed?.files.model ?? given.init;
    if (initial !== undefined) await loadParameters(coordinator, initial, resumed?.files.optimizer);
    if (resumed !== undefined) reopenRunFolder(resumed.run, configuration, state.step);
    const run = resumed?.run ?? createRunFolder(path, configuration);
    printHead(configuration, coordinator, run, state);
    const summary = await train({
      configuration,
      dataset,
      coordinator,
      ring,
      run,
      state,
      warnings: resolved.warnings,
      logEvery,
      checkpointEvery,
      testLimit,
      stop: stopOnInterrupt(),
      print: (line) => console.log(line),
    });
    printEnd(summary, path, given);
  });
}

function printEnd({ status, steps }: Summary, path: string, given: TrainArguments): void {
  if (status === 'interrupted') {
    console.log(`interrupted after step ${steps}; go on with: ${resumeCommand(path, given)}`);
    process.exitCode = 130;
  } else {
    console.log(`done: ${path}`);
  }
}

interface ResumedRun {
  run: RunFolder;
  /** The run's own, with the options of this command over it. */
  configuration: Configuration;
  files: ReturnType<typeof checkpointFiles>;
  /** The position of its latest checkpoint. */
  state: TrainerState;
}

function runToResume(path: string, given: TrainArguments): ResumedRun {
  for (const name of ['out', 'init', 'preset', 'config'] as const) {
    if (given[name] !== undefined)
      throw new UserError(`--${name} does not go with --resume: the run has its own`);
  }
  const run = openRunFolder(path);
  const files = checkpointFiles(requireCheckpoint(run));
  const config = run.configurationFile;
  const configuration = configurationFrom({ ...given, config });
  refuseAnotherCourse(configurationFrom({ config }), configuration, path);
  return { run, configuration, files, state: loadState(files.state) };
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

/** The command that goes on with the run as this one would have. */
function resumeCommand(path: string, given: TrainArguments): string {
  const words = ['twotower', 'train', '--resume', path];
  const kept = {
    gpus: given.gpus,
    cpu: given.cpu,
    backend: given.backend,
    'log-every': given.logEvery === options['log-every'].default ? undefined : given.logEvery,
    'test-limit': given.testLimit,
    'checkpoint-every': given.checkpointEvery,
  };
  for (const [name, value] of Object.entries(kept)) {
    if (value !== undefined) words.push(`--${name}`, value);
  }
  if (given.requireGpu === true) words.push('--require-gpu');
  return words.map((word) => (/[^\w@%+=:,./-]/.test(word) ? `'${word}'` : word)).join(' ');
}

/** `runs/NAME`, or `runs/NAME-2` and so on where that is taken. */
function freeRunPath({ name }: Configuration): string {
  const base = join('runs', basename(name, '.json'));
  if (!existsSync(base)) return base;
  for (let number = 2; ; number++) {
    if (!existsSync(`${base}-${number}`)) return `${base}-${number}`;
  }
}

/** Aborted by Ctrl-C or a termination signal; the second such signal ends the process at once. */
function stopOnInterrupt(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143);
      console.error('finishing this step and saving; once more to stop at once');
      controller.abort();
    });
  }
  return controller.signal;
}

function printHead(
  { name, training }: Configuration,
  { network, placement, workers }: Coordinator,
  run: RunFolder,
  state: TrainerState,
): void {
  const where = placement
    .map(
      ({ ranks, device, threads }) =>
        `rank ${ranks.join('+')} on ${device} (${threads} thread${threads === 1 ? '' : 's'})`,
    )
    .join(', ');
  console.log(
    `${name}: ${formatCount(network.parameterCount)} parameters, batch ${training.batch}, seed ${training.seed}`,
  );
  console.log(
    `${network.towers} tower${network.towers === 1 ? '' : 's'}: ${where}; backend ${workers[0]!.backend}`,
  );
  console.log(
    state.step === 0 ? `run folder ${run.path}` : `run folder ${run.path}, from step ${state.step}`,
  );
}

function printChecks(checks: GradientCheck[]): void {
  const rows = checks.map(({ parameter, analytic, numeric, relativeError }) => [
    parameter,
    analytic.toExponential(5),
    numeric.toExponential(5),
    `${(100 * relativeError).toFixed(3)} %`,
  ]);
  console.log(
    formatTable(['parameter', 'gradient', 'finite difference', 'error'], rows, terminalWidth()),
  );
}

async function checkGradients(coordinator: Coordinator, ring: BatchRing): Promise<void> {
  for await (const batch of ring.train(0, 0)) {
    const checks = await coordinator.checkGradients(batch, GRADIENT_EPSILON);
    batch.release();
    printChecks(checks);
    const wrong = checks.filter(({ relativeError }) => !(relativeError <= GRADIENT_TOLERANCE));
    if (wrong.length > 0) {
      throw new UserError(
        `gradients differ from finite differences by more than ${GRADIENT_TOLERANCE * 100} %: ${wrong.map(({ parameter }) => parameter).join(', ')}`,
      );
    }
    return;
  }
}
