/**
 * What the words of a command line mean: the commands, and how yargs reads them.
 *
 * Each command has a file in this folder, which is imported only if the command is given, so that `--help`
 * need not wait for TensorFlow.
 */
import type { Argv, CommandModule } from 'yargs';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { COMPLETION_REQUEST, namesFor } from './completion.js';
import { messageOf, UserError } from '../errors.js';
import { programVersion } from '../program_version.js';
import { terminalWidth } from '../report/text.js';

interface Command {
  name: string;
  describe: string;
  load: () => Promise<{ command: CommandModule }>;
}

/** Every command, in the order of the help text. */
export const COMMANDS: readonly Command[] = [
  {
    name: 'train',
    describe: 'Train a network, its towers divided among workers',
    load: () => import('./train.js'),
  },
  {
    name: 'compare',
    describe: 'Time the split, grouped and dense placements against each other',
    load: () => import('./compare.js'),
  },
  {
    name: 'check',
    describe: 'Compare gradients with finite differences of the loss',
    load: () => import('./check.js'),
  },
  {
    name: 'evaluate',
    describe: 'Test a checkpoint of a run',
    load: () => import('./evaluate.js'),
  },
  {
    name: 'predict',
    describe: 'Print the five most probable classes of each image',
    load: () => import('./predict.js'),
  },
  {
    name: 'visualize',
    describe: 'Draw first-layer kernels, predictions or nearest images as a PNG',
    load: () => import('./visualize.js'),
  },
  {
    name: 'runs',
    describe: 'List all runs, or print what differs between two',
    load: () => import('./runs.js'),
  },
  {
    name: 'report',
    describe: 'Write runs as one HTML page: curves, kernels, confusion matrix, where the time goes',
    load: () => import('./report.js'),
  },
  {
    name: 'export',
    describe: 'Write parameters for PyTorch (safetensors) or as an ONNX model',
    load: () => import('./export.js'),
  },
  {
    name: 'import',
    describe: 'Make a run of a PyTorch state_dict saved as safetensors',
    load: () => import('./import.js'),
  },
  {
    name: 'plan',
    describe: 'Print what a network costs: shapes, parameters, operations and exchanged bytes',
    load: () => import('./plan.js'),
  },
  {
    name: 'data',
    describe: 'Fetch, prepare or inspect a data set',
    load: () => import('./data.js'),
  },
  {
    name: 'doctor',
    describe: 'Show versions, backend and devices, and what is missing',
    load: () => import('./doctor.js'),
  },
];

/**
 * Runs the command that the arguments name.
 * @throws UserError for a command line that cannot be understood; whatever the command throws
 */
export async function runCommandLine(commandArguments: string[]): Promise<void> {
  await (await commandLineOf(commandArguments)).parseAsync();
}

/** The parser of these arguments, which has the options of the command that they name. */
export async function commandLineOf(commandArguments: string[]): Promise<Argv> {
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
      const reason = messageOf(message ?? error).replace(
        /^Not enough non-.*/,
        'an argument is missing',
      );
      throw new UserError(`${reason}; see ${help}`);
    });
  for (const { name, describe, load } of COMMANDS) {
    if (name === given) line.command({ ...(await load()).command, describe });
    else line.command(name, describe);
  }
  line.completion('completion', 'Print a script that completes words in bash or zsh', complete);
  return line;
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
