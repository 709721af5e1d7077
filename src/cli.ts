/**
 * The command line: `twotower COMMAND`, or `npm start -- COMMAND` in a checkout.
 *
 * One file a command in `commands/`, each exporting a yargs `CommandModule` as `command`, imported when
 * it is asked for, so that `--help` need not wait for TensorFlow.
 */
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import type { Argv } from 'yargs';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { aThreadLasts, endProcess } from './backend/process_end.js';
import { COMPLETION_REQUEST, namesFor } from './commands/completion.js';
import { messageOf, UserError } from './errors.js';
import { WorkerFailure } from './parallel/worker_failure.js';
import { note } from './report/printing.js';
import { terminalWidth } from './report/text.js';

/** Every command, in the order of the help text. */
const COMMANDS: { name: string; describe: string; add: (line: Argv) => Promise<Argv> }[] = [
  {
    name: 'train',
    describe: 'Train a network, its towers divided among workers',
    add: async (line) => line.command((await import('./commands/train.js')).command),
  },
  {
    name: 'compare',
    describe: 'Time split, grouped and dense placements against each other',
    add: async (line) => line.command((await import('./commands/compare.js')).command),
  },
  {
    name: 'evaluate',
    describe: "Test a run's latest checkpoint",
    add: async (line) => line.command((await import('./commands/evaluate.js')).command),
  },
  {
    name: 'predict',
    describe: "Print the five classes that a run's network finds most probable for each image",
    add: async (line) => line.command((await import('./commands/predict.js')).command),
  },
  {
    name: 'visualize',
    describe: "Draw a run's first kernels, its predictions or nearest images as a PNG",
    add: async (line) => line.command((await import('./commands/visualize.js')).command),
  },
  {
    name: 'report',
    describe: 'Write runs as one HTML page: curves, kernels, confusion, where the time went',
    add: async (line) => line.command((await import('./commands/report.js')).command),
  },
  {
    name: 'export',
    describe: "Write a run's parameters for other programs",
    add: async (line) => line.command((await import('./commands/export.js')).command),
  },
  {
    name: 'import',
    describe: 'Make a run of a PyTorch state_dict that was saved as safetensors',
    add: async (line) => line.command((await import('./commands/import.js')).command),
  },
  {
    name: 'plan',
    describe: 'Print what a network costs before anything is trained',
    add: async (line) => line.command((await import('./commands/plan.js')).command),
  },
  {
    name: 'data',
    describe: 'Fetch, prepare or look at a data set',
    add: async (line) => line.command((await import('./commands/data.js')).command),
  },
  {
    name: 'doctor',
    describe: 'Show versions, backend and devices, and what is missing',
    add: async (line) => line.command((await import('./commands/doctor.js')).command),
  },
];

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/**
 * Runs the command that the arguments name.
 * @throws UserError for a command line that cannot be understood; whatever the command throws
 */
export async function runCommandLine(commandArguments: string[]): Promise<void> {
  const asked = askedFor(commandArguments);
  let line = yargs(commandArguments)
    .scriptName('twotower')
    .usage('Usage: $0 COMMAND [OPTIONS]')
    .version(version())
    .help()
    .strict()
    .parserConfiguration({
      // Else --set.training.batch=8 would be an object and --no-batch a boolean, not unknown options.
      ...{ 'dot-notation': false, 'boolean-negation': false },
      'parse-numbers': false,
    })
    .check(refuseRepeated)
    .demandCommand(1, 1, 'no command given', 'more than one command given')
    .recommendCommands()
    .wrap(Math.min(100, terminalWidth()))
    .exitProcess(false)
    .fail((message: string | null, error: Error | undefined) => {
      if (error instanceof Error && error.name !== 'YError') throw error;
      const command = COMMANDS.find(({ name }) => name === asked);
      const help = command === undefined ? 'twotower --help' : `twotower ${command.name} --help`;
      throw new UserError(`${messageOf(message ?? error)}; see ${help}`);
    });
  for (const { name, describe, add } of COMMANDS) {
    line = name === asked ? await add(line) : line.command(name, describe);
  }
  line.completion('completion', 'Print a script that completes words in bash or zsh', complete);
  await line.parseAsync();
}

/** The command that is run, or completed: there the program's name comes before it, and it may be half typed. */
function askedFor(commandArguments: string[]): string | undefined {
  const [first, , typed] = commandArguments;
  if (first === COMPLETION_REQUEST) return typed;
  return commandArguments.find((argument) => !argument.startsWith('-'));
}

function complete(
  _current: string,
  _given: unknown,
  byYargs: () => void,
  done: (names: string[]) => void,
): void {
  const names = namesFor(hideBin(process.argv).slice(1));
  if (names === undefined) byYargs();
  else done(names);
}

/** yargs makes an array of an option that is given more than once; only `--set`, and a command's runs or files, are several. */
function refuseRepeated(given: Record<string, unknown>): true {
  for (const [name, value] of Object.entries(given)) {
    if (!Array.isArray(value) || ['_', 'set', 'runs', 'files'].includes(name)) continue;
    throw new UserError(`--${name} is given more than once; give it once`);
  }
  return true;
}

/**
 * Prints what was thrown; a UserError as one line, and below it the stack of what a worker threw. The exit
 * code becomes 1.
 */
function report(thrown: unknown): void {
  process.exitCode = 1;
  note(thrown instanceof UserError ? `twotower: ${messageOf(thrown)}` : inspect(thrown));
  if (thrown instanceof WorkerFailure && thrown.defect !== undefined) note(thrown.defect);
}

/** The reader has gone, as `head` does; so has the terminal; the disk of the file is full. */
const OUTPUT_LOST = ['EPIPE', 'EIO', 'ENOSPC'];

/** Where nothing more can be printed: ends as a signal would, on which `train` saves first. */
let isOutputLost = false;
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (!OUTPUT_LOST.includes(error.code ?? '')) throw error;
    if (isOutputLost) return;
    isOutputLost = true;
    // On stderr, where that is another file.
    if (error.code === 'ENOSPC')
      note(`twotower: the output cannot be written: ${messageOf(error)}`);
    if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(141);
  });
}

await runCommandLine(hideBin(process.argv)).catch(report);
if (aThreadLasts()) endProcess(Number(process.exitCode ?? 0));
