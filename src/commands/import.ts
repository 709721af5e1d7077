/**
 *     twotower import alexnet.safetensors --preset cifar10-seed
 *     twotower import grouped.safetensors --preset cifar10-seed --out runs/from-pytorch
 */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { importModel, ModelDoesNotFit } from '../library/import.js';
import type { ModelDifference } from '../library/import.js';
import { note, print } from '../report/printing.js';
import { formatCount, formatTable, terminalWidth } from '../report/text.js';
import { configurationOptions, recipeFrom } from './options.js';
import type { ConfigurationArguments } from './options.js';

const { preset, config, data, towers, set } = configurationOptions;

const options = {
  preset,
  config,
  data,
  towers: {
    ...towers,
    describe: "Equal shares of every layer; without it as the file's kernels are grouped",
  },
  set,
  out: { requiresArg: true, describe: 'New run folder; without it runs/PRESET, numbered if taken' },
} as const;

interface ImportArguments extends Pick<
  ConfigurationArguments,
  'preset' | 'config' | 'data' | 'towers' | 'set'
> {
  file: string;
  out?: string | undefined;
}

export const command: CommandModule<object, ImportArguments> = {
  command: 'import <file>',
  describe: 'Make a run of a PyTorch state_dict that was saved as safetensors',
  builder: (yargs) =>
    yargs
      .positional('file', {
        type: 'string',
        demandOption: true,
        describe: 'Safetensors file: conv1.weight … fc3.bias, dense or grouped',
      })
      .options(options)
      .example('$0 import alexnet.safetensors --preset cifar10-seed', 'Into runs/cifar10-seed')
      .example(
        '$0 import demo.safetensors --preset demo --out runs/imported',
        'What export wrote, into a folder of that name',
      ) as never,
  handler: run,
};

async function run(given: ArgumentsCamelCase<ImportArguments>): Promise<void> {
  try {
    const { file, out } = given;
    const { path, towers, tensors, parameters } = await importModel(file, {
      ...recipeFrom(given),
      out,
    });
    print(`${path}: ${tensors} tensors, ${formatCount(parameters)} parameters, towers: ${towers}`);
  } catch (error) {
    if (error instanceof ModelDoesNotFit) printDifferences(error.differences);
    throw error;
  }
}

function printDifferences(differences: ModelDifference[]): void {
  const rows = differences.map(({ name, inFile, inNetwork }) => [
    name,
    inFile ?? 'missing',
    inNetwork ?? 'not in it',
  ]);
  note(formatTable(['tensor', 'in the file', 'in the network'], rows, terminalWidth()));
}
