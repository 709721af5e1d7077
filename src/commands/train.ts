/**
 * Trains a network, its towers divided among workers.
 *
 *     twotower train --preset demo --gpus 0,1
 *     twotower train --preset cifar10-seed --data DIR --gpus 0 --towers 2
 *     twotower train --preset cifar10-13pct --data DIR --seeds 1,2,3
 *     twotower train --resume runs/demo
 *     mpirun -n 4 --map-by node --bind-to none twotower train --preset demo
 */
import { joinWorld } from '../parallel/join_world.js';
import { programVersion } from '../program_version.js';
import { openDashboard } from '../library/dashboard.js';
import { train } from '../library/train.js';
import { PARALLELISMS } from '../library/train_options.js';
import type { TrainOptions } from '../library/train_options.js';
import { trainSeeds } from '../library/train_seeds.js';
import { UserError } from '../errors.js';
import { print } from '../report/printing.js';
import { seedsText } from '../report/seeds.js';
import { terminalWidth } from '../report/text.js';
import { RunEvents } from '../runs/events.js';
import { isSeedFolder } from '../runs/seed_folder.js';
import { deviceOptions } from './device_options.js';
import { printFailure, workElsewhere } from './elsewhere.js';
import { hostGroup, hostOptions } from './host_options.js';
import {
  choice,
  numberFromZero,
  parseWholeNumber,
  path,
  port,
  textOption,
  wholeNumber,
  words,
} from './option_kinds.js';
import { defineCommand, wordsOf } from './option_table.js';
import type { Typed } from './option_table.js';
import { outputOptions, traceOption, withProgress } from './output_options.js';
import { recipeOptions } from './recipe_options.js';
import { checkpointChoice, classesOption, initOption, newRunOption } from './run_options.js';
import { EXIT_CODES, obeySignals } from './signals.js';
import { printTraining } from './training_output.js';

/** Side of the paper's input, as a port above those that only root may open. */
const DASHBOARD_PORT = 8227;

const group = 'Run:';

/** The first host prints for all. */
const SILENT = { note: () => {}, close: () => {} };

/** Options that a run folder does not keep: a run that is resumed as before needs them again. */
const optionsNotKept = {
  ...deviceOptions,
  logEvery: wholeNumber(1, {
    group,
    describe: 'Print a line every N batches (default 100; with a progress bar, once per epoch)',
  }),
  testLimit: wholeNumber(1, {
    group,
    describe: 'Test on a random sample of this many images (default all)',
  }),
  checkpointEvery: wholeNumber(1, {
    group,
    describe:
      'Also save a checkpoint every N steps (default: at the end of each epoch, and by time)',
  }),
  checkpointMinutes: numberFromZero({
    group,
    describe: 'Also save a checkpoint every N minutes; 0 turns this off (default 10)',
  }),
  dashboard: port(DASHBOARD_PORT, {
    group,
    describe: `Show this run and the others in its folder in a browser, at this port of 127.0.0.1 (default ${DASHBOARD_PORT})`,
  }),
  restarts: wholeNumber(0, {
    group,
    describe: 'Restart the workers up to this many times if one fails (default 0)',
  }),
  exchangeTimeoutMs: textOption(
    {
      group,
      name: 'exchange-timeout',
      describe: 'Abort the run if no worker makes progress for this many seconds (default 300)',
    },
    (given, name) => 1000 * parseWholeNumber(given, name, 1),
  ),
  skipNonfinite: wholeNumber(0, {
    group,
    describe: 'Skip up to this many batches whose loss or gradient is not finite (default 0)',
  }),
  parallelism: choice(PARALLELISMS, {
    group: hostGroup,
    describe:
      'What each process has: the network and a share of every batch (replicas, the default), some of the towers (towers), or the convolutional layers, a share of every batch and a part of each fully-connected layer (hybrid)',
  }),
  ...hostOptions,
  ...outputOptions,
};

export const command = defineCommand({
  command: 'train',
  options: {
    ...recipeOptions,
    ...deviceOptions,
    ...newRunOption,
    seeds: textOption(
      {
        group,
        conflicts: ['seed', 'resume', 'trace'],
        describe: 'Train one run per seed, such as 1,2,3, one after another in one folder',
      },
      (given, name) => given.split(',').map((seed) => parseWholeNumber(seed, name, 0)),
    ),
    resume: path({ group, describe: 'Run folder to resume, or one of --seeds, on any devices' }),
    ...classesOption,
    ...initOption,
    initExcept: words({
      group,
      describe:
        'Layers that do not take their parameters from --init, such as fc3 for other classes',
    }),
    checkpoint: checkpointChoice({
      group,
      describe: 'Which checkpoint of the run that --resume or --init names (default latest)',
    }),
    ...optionsNotKept,
    ...traceOption,
  },
  examples: [
    ['train --preset demo --gpus 0,1', 'Two towers, one on each of two GPUs'],
    [
      'train --preset demo --seeds 1,2,3',
      'Three runs in one folder; report gives mean and deviation',
    ],
    ['train --resume runs/demo', 'Continues from its latest checkpoint'],
  ],
  run: async (
    { quiet, verbose, logEvery, dashboard: dashboardPort, requireWorld, ...options },
    typed,
  ) => {
    const world = await joinWorld(programVersion(), { ...options, requireWorld });
    if (!world.isFirst) {
      return workElsewhere(world, (events) => {
        const signal = obeySignals(SILENT, events, world);
        return train({ ...options, world, events, signal });
      });
    }
    const events = new RunEvents();
    await withProgress({ quiet, verbose }, events, async (progress) => {
      printTraining(events, progress, logEvery);
      const dashboard =
        dashboardPort === undefined ? undefined : await openDashboard(dashboardPort, events);
      if (dashboard !== undefined) progress.note(`dashboard: ${dashboard.url}`);
      const signal = obeySignals(progress, events, world);
      const exitCode = () => EXIT_CODES[signal.reason as keyof typeof EXIT_CODES];
      try {
        const { status, path, result } = await trainOneOrSeveral({
          ...options,
          world,
          events,
          signal,
        });
        progress.close();
        await world.end(undefined, printFailure);
        if (status === 'interrupted') {
          print(`${result}; continue with: ${resumeCommand(path, typed)}`);
          process.exitCode = exitCode();
        } else {
          print(result);
        }
      } catch (error) {
        progress.close();
        await world.end(error, printFailure);
        if (!signal.aborted || error !== signal.reason) throw error;
        print('interrupted before training began: nothing was written');
        process.exitCode = exitCode();
      } finally {
        await dashboard?.close();
      }
    });
  },
});

/** Trains a run, or one per seed if these or a folder of theirs are given. @returns `result` is what to print */
async function trainOneOrSeveral({
  seeds,
  ...options
}: TrainOptions & { seeds?: number[] | undefined }): Promise<{
  status: string;
  path: string;
  result: string;
}> {
  const { resume, world, trace } = options;
  if (seeds === undefined && (resume === undefined || !isSeedFolder(resume))) {
    const { status, steps, path } = await train(options);
    const result = status === 'interrupted' ? `interrupted after step ${steps}` : `done: ${path}`;
    return { status, path, result };
  }
  if (world?.isAlone === false) {
    throw new UserError(
      '--seeds is for one host: start one run per seed instead, each with --seed',
    );
  }
  if (trace !== undefined) throw new UserError('--trace is for one run: resume the run itself');
  const { status, path, runs } = await trainSeeds({ ...options, seeds });
  const table = seedsText(runs, terminalWidth());
  const result = status === 'interrupted' ? 'interrupted' : `done: ${path}`;
  return { status, path, result: `${table}\n${result}` };
}

/** The command that resumes the run with the options of this one. */
function resumeCommand(path: string, typed: Typed): string {
  // A clone has no `twotower` on the PATH, so there it is `npm start`.
  const program = process.env['npm_lifecycle_event'] === 'start' ? 'npm start --' : 'twotower';
  const words = ['train', '--resume', path, ...wordsOf(optionsNotKept, typed)];
  const quoted = words.map((word) =>
    /[^\w@%+=:,./-]/.test(word) ? `'${word.replaceAll("'", "'\\''")}'` : word,
  );
  return [program, ...quoted].join(' ');
}
