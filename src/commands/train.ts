/**
 *     twotower train --preset demo --gpus 0,1
 *     twotower train --preset cifar10-seed --data DIR --gpus 0 --towers 2
 *     twotower train --resume runs/demo
 *     twotower train --preset demo --gpus 0,1 --check-gradients
 */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { UserError } from '../errors.js';
import { checkGradients } from '../library/check_gradients.js';
import { train } from '../library/train.js';
import type { TrainOptions } from '../library/train_options.js';
import { openDashboard } from '../library/dashboard.js';
import { print } from '../report/printing.js';
import { formatTable, terminalWidth } from '../report/text.js';
import { RunEvents } from '../runs/events.js';
import type { GradientCheck } from '../training/gradient_check.js';
import type { ProgressDisplay } from '../report/progress.js';
import { configurationOptions, recipeFrom, wholeNumber } from './options.js';
import type { ConfigurationArguments } from './options.js';
import { outputOptions, traceOption, withProgress } from './output_options.js';
import type { OutputArguments } from './output_options.js';
import { devicesFrom, placementOptions } from './placement_options.js';
import type { PlacementArguments } from './placement_options.js';
import { EXIT_CODES, obeySignals } from './signals.js';
import { printTraining } from './training_output.js';

/** The side of the paper's input, within the ports that anybody may open. */
const DASHBOARD_PORT = 8227;

const run = { group: 'Run:' } as const;

/** What a run folder does not keep: given again, a run goes on as before. */
const courseOptions = {
  'log-every': {
    ...run,
    requiresArg: true,
    describe: "Batches between lines; without it 100, and below a bar an epoch's last alone",
  },
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
  dashboard: {
    ...run,
    describe: `Show the run in a browser as it goes, at this port of 127.0.0.1; ${DASHBOARD_PORT} unless given`,
  },
  restarts: {
    ...run,
    requiresArg: true,
    describe: 'How often to start the workers again where one fails; without it never',
  },
  'exchange-timeout': {
    ...run,
    requiresArg: true,
    describe: 'Seconds in which no worker moves on before the run ends as hung; without it 300',
  },
  'skip-nonfinite': {
    ...run,
    requiresArg: true,
    describe: 'How many batches to leave out whose loss or gradient is not finite; without it none',
  },
} as const;

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
  ...courseOptions,
  'check-gradients': {
    ...run,
    type: 'boolean',
    describe: 'Compare gradients with finite differences, then stop',
  },
  ...traceOption,
  ...outputOptions,
} as const;

interface TrainArguments extends ConfigurationArguments, PlacementArguments, OutputArguments {
  out?: string | undefined;
  resume?: string | undefined;
  trace?: string | undefined;
  init?: string | undefined;
  logEvery?: string | undefined;
  testLimit?: string | undefined;
  checkpointEvery?: string | undefined;
  /** true where no port is given. */
  dashboard?: string | boolean | undefined;
  restarts?: string | undefined;
  exchangeTimeout?: string | undefined;
  skipNonfinite?: string | undefined;
  checkGradients?: boolean | undefined;
}

/** A finite difference along the gradient misses a wrong sum or a factor by tens of percent; rounding, ReLU and pooling cost at most half of one. */
const GRADIENT_TOLERANCE = 0.01;

/** Options that mean nothing where gradients are checked. */
const TRAINING_ALONE = [
  ...['resume', 'out', 'trace', 'dashboard', 'log-every', 'test-limit', 'checkpoint-every'],
  ...['restarts', 'exchange-timeout', 'skip-nonfinite'],
];

export const command: CommandModule<object, TrainArguments> = {
  command: 'train',
  describe: 'Train a network, its towers divided among workers',
  builder: (yargs) =>
    yargs
      .options(options)
      .example('$0 train --preset demo --gpus 0,1', 'Two towers, one on each of two GPUs')
      .example('$0 train --resume runs/demo', 'Goes on from its latest checkpoint') as never,
  handler: runTraining,
};

async function runTraining(given: ArgumentsCamelCase<TrainArguments>): Promise<void> {
  const events = new RunEvents();
  await withProgress(given, events, (progress) => runShowing(progress, given, events));
}

async function runShowing(
  progress: ProgressDisplay,
  given: ArgumentsCamelCase<TrainArguments>,
  events: RunEvents,
): Promise<void> {
  const recipe: TrainOptions = {
    ...recipeFrom(given),
    ...devicesFrom(given),
    init: given.init,
    events,
  };
  const logEvery = wholeNumber('log-every', given.logEvery, 1);
  const seconds = wholeNumber('exchange-timeout', given.exchangeTimeout, 1);
  const options: TrainOptions = {
    ...recipe,
    out: given.out,
    resume: given.resume,
    trace: given.trace,
    checkpointEvery: wholeNumber('checkpoint-every', given.checkpointEvery, 1),
    testLimit: wholeNumber('test-limit', given.testLimit, 1),
    restarts: wholeNumber('restarts', given.restarts, 0),
    exchangeTimeoutMs: seconds === undefined ? undefined : 1000 * seconds,
    skipNonfinite: wholeNumber('skip-nonfinite', given.skipNonfinite, 0),
  };
  if (given.checkGradients === true) {
    for (const name of TRAINING_ALONE) {
      if (given[name] === undefined) continue;
      throw new UserError(`--check-gradients does not go with --${name}: nothing is trained`);
    }
    printChecks(await checkGradients(recipe));
    return;
  }
  printTraining(events, progress, logEvery);
  const port = dashboardPort(given.dashboard);
  const dashboard = port === undefined ? undefined : await openDashboard(port, events);
  if (dashboard !== undefined) progress.note(`dashboard: ${dashboard.url}`);
  const signal = obeySignals(progress, events);
  const exitCode = () => EXIT_CODES[signal.reason as keyof typeof EXIT_CODES];
  try {
    const { status, steps, path } = await train({ ...options, signal });
    progress.close();
    if (status === 'interrupted') {
      print(`interrupted after step ${steps}; continue with: ${resumeCommand(path, given)}`);
      process.exitCode = exitCode();
    } else {
      print(`done: ${path}`);
    }
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
    progress.close();
    print('interrupted before training began: nothing was written');
    process.exitCode = exitCode();
  } finally {
    await dashboard?.close();
  }
}

/** Undefined where no dashboard is asked for. */
function dashboardPort(given: TrainArguments['dashboard']): number | undefined {
  if (given === undefined || given === false) return undefined;
  if (given === true || given === '') return DASHBOARD_PORT;
  const port = wholeNumber('dashboard', given, 0)!;
  if (port > 65535) throw new UserError(`--dashboard ${port}: ports end at 65535`);
  return port;
}

/** The command that goes on with the run as this one would have. */
function resumeCommand(path: string, given: ArgumentsCamelCase<TrainArguments>): string {
  // In a clone no `twotower` is on the PATH: there it is called by `npm start`.
  const program = process.env['npm_lifecycle_event'] === 'start' ? 'npm start --' : 'twotower';
  const words = ['train', '--resume', path];
  for (const name of Object.keys({ ...placementOptions, ...courseOptions, ...outputOptions })) {
    const value = given[name];
    if (value === true || value === '') words.push(`--${name}`);
    else if (typeof value === 'string') words.push(`--${name}`, value);
  }
  const quoted = words.map((word) =>
    /[^\w@%+=:,./-]/.test(word) ? `'${word.replaceAll("'", "'\\''")}'` : word,
  );
  return [program, ...quoted].join(' ');
}

function printChecks(checks: GradientCheck[]): void {
  const rows = checks.map(({ parameter, analytic, numeric, relativeError }) => [
    parameter,
    analytic.toExponential(5),
    numeric.toExponential(5),
    `${(100 * relativeError).toFixed(3)} %`,
  ]);
  print(
    formatTable(['parameter', 'gradient', 'finite difference', 'error'], rows, terminalWidth()),
  );
  const names = (wrong: GradientCheck[]) => wrong.map(({ parameter }) => parameter).join(', ');
  const dead = checks.filter(({ analytic }) => analytic === 0);
  if (dead.length > 0) {
    throw new UserError(
      `the gradient of ${names(dead)} is 0, along which nothing can be checked: give other initial values or data`,
    );
  }
  const wrong = checks.filter(({ relativeError }) => !(relativeError <= GRADIENT_TOLERANCE));
  if (wrong.length === 0) return;
  throw new UserError(
    `gradients differ from finite differences by more than ${GRADIENT_TOLERANCE * 100} %: ${names(wrong)}`,
  );
}
