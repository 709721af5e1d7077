/**
 * The command line: `twotower COMMAND`, or `npm start -- COMMAND` in a checkout.
 *
 * Each command has a file in `commands/`, which is imported only if the command is given, so that `--help`
 * need not wait for TensorFlow.
 */
import { inspect } from 'node:util';
import type { CommandModule } from 'yargs';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { aThreadLasts, endProcess } from './backend/process_end.js';
import { COMPLETION_REQUEST, namesFor } from './commands/completion.js';
import { messageOf, UserError } from './errors.js';
import { WorkerFailure } from './parallel/worker_failure.js';
import { programVersion } from './program_version.js';
import { note } from './report/printing.js';
import { terminalWidth } from './report/text.js';

interface Command {
  name: string;
  describe: string;
  load: () => Promise<{ command: CommandModule }>;
}

/** Every command, in the order of the help text. */
const COMMANDS: Command[] = [
  {
    name: 'train',
    describe: 'Train a network, its towers divided among workers',
    load: () => import('./commands/train.js'),
  },
  {
    name: 'compare',
    describe: 'Time the split, grouped and dense placements against each other',
    load: () => import('./commands/compare.js'),
  },
  {
    name: 'check',
    describe: 'Compare gradients with finite differences of the loss',
    load: () => import('./commands/check.js'),
  },
  {
    name: 'evaluate',
    describe: 'Test a checkpoint of a run',
    load: () => import('./commands/evaluate.js'),
  },
  {
    name: 'predict',
    describe: 'Print the five most probable classes of each image',
    load: () => import('./commands/predict.js'),
  },
  {
    name: 'visualize',
    describe: 'Draw first-layer kernels, predictions or nearest images as a PNG',
    load: () => import('./commands/visualize.js'),
  },
  {
    name: 'runs',
    describe: 'List all runs, or print what differs between two',
    load: () => import('./commands/runs.js'),
  },
  {
    name: 'report',
    describe: 'Write runs as one HTML page: curves, kernels, confusion matrix, where the time goes',
    load: () => import('./commands/report.js'),
  },
  {
    name: 'export',
    describe: 'Write parameters for PyTorch (safetensors) or as an ONNX model',
    load: () => import('./commands/export.js'),
  },
  {
    name: 'import',
    describe: 'Make a run of a PyTorch state_dict saved as safetensors',
    load: () => import('./commands/import.js'),
  },
  {
    name: 'plan',
    describe: 'Print what a network costs: shapes, parameters, operations and exchanged bytes',
    load: () => import('./commands/plan.js'),
  },
  {
    name: 'data',
    describe: 'Fetch, prepare or inspect a data set',
    load: () => import('./commands/data.js'),
  },
  {
    name: 'doctor',
    describe: 'Show versions, backend and devices, and what is missing',
    load: () => import('./commands/doctor.js'),
  },
];

/**
 * Runs the command that the arguments name.
 * @throws UserError for a command line that cannot be understood; whatever the command throws
 */
export async function runCommandLine(commandArguments: string[]): Promise<void> {
  const given = commandGiven(commandArguments);
  const line = yargs(commandArguments)
    .scriptName('twotower')
    .usage('Usage: $0 COMMAND [OPTIONS]')
    .version(programVersion())
    .help()
    .strict()
    .strictCommands()
    .parserConfiguration({
      // Otherwise --set.training.batch=8 would be an object and --no-batch a boolean, not unknown options.
      'dot-notation': false,
      'boolean-negation': false,
      'parse-numbers': false,
    })
    .demandCommand(1, 1, 'no command given', 'more than one command given')
    .wrap(Math.min(100, terminalWidth()))
    .exitProcess(false)
    .fail((message: string | null, error: Error | undefined) => {
      if (error instanceof Error && error.name !== 'YError') throw error;
      const command = COMMANDS.find(({ name }) => name === given);
      const help = command === undefined ? 'twotower --help' : `twotower ${command.name} --help`;
      throw new UserError(`${messageOf(message ?? error)}; see ${help}`);
    });
  for (const { name, describe, load } of COMMANDS) {
    if (name === given) line.command({ ...(await load()).command, describe });
    else line.command(name, describe);
  }
  line.completion('completion', 'Print a script that completes words in bash or zsh', complete);
  await line.parseAsync();
}

/** The command to run or to complete. In a completion request it follows the program's name, perhaps half typed. */
function commandGiven(commandArguments: string[]): string | undefined {
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

/**
 * Prints what was thrown and sets the exit code to 1. A UserError is one line, followed by the stack if a
 * worker threw it.
 */
function report(thrown: unknown): void {
  process.exitCode = 1;
  note(thrown instanceof UserError ? `twotower: ${messageOf(thrown)}` : inspect(thrown));
  if (thrown instanceof WorkerFailure && thrown.defect !== undefined) note(thrown.defect);
}

/** The reader of the output has ended, as `head` does; the terminal was closed; the disk is full. */
const OUTPUT_LOST = ['EPIPE', 'EIO', 'ENOSPC'];

/** If nothing more can be printed, the process ends as by SIGTERM, on which `train` saves first. */
let isOutputLost = false;
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (!OUTPUT_LOST.includes(error.code ?? '')) throw error;
    if (isOutputLost) return;
    isOutputLost = true;
    // stderr may be another file.
    if (error.code === 'ENOSPC')
      note(`twotower: the output cannot be written: ${messageOf(error)}`);
    if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(141);
  });
}

await runCommandLine(hideBin(process.argv)).catch(report);
if (aThreadLasts()) endProcess(Number(process.exitCode ?? 0));
