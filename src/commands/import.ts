/**
 * Makes a run of parameters from PyTorch.
 *
 *     twotower import alexnet.safetensors --preset cifar10-seed
 *     twotower import grouped.safetensors --preset cifar10-seed --out runs/from-pytorch
 */
import { importModel, ModelDoesNotFit } from '../library/import.js';
import type { ModelDifference } from '../library/import.js';
import { note, print } from '../report/printing.js';
import { formatCount, formatTable, terminalWidth } from '../report/text.js';
import { path, wholeNumber } from './option_kinds.js';
import { defineCommand } from './option_table.js';
import { recipeOptions } from './recipe_options.js';
import { newRunOption } from './run_options.js';

const { preset, config, data, towers, settings } = recipeOptions;

export const command = defineCommand({
  command: 'import <file>',
  positionals: {
    file: path({ describe: 'Safetensors file: conv1.weight … fc3.bias, dense or grouped' }),
  },
  options: {
    preset,
    config,
    data,
    towers: wholeNumber(1, {
      ...towers.help,
      describe: "Number of towers (default: as many groups as the file's convolutions have)",
    }),
    settings,
    ...newRunOption,
  },
  examples: [
    ['import alexnet.safetensors --preset cifar10-seed', 'Into runs/cifar10-seed'],
    [
      'import demo.safetensors --preset demo --out runs/imported',
      'What export wrote, into a folder of that name',
    ],
  ],
  run: async ({ file, ...options }) => {
    try {
      const { path, towers, tensors, parameters } = await importModel(file, options);
      print(
        `${path}: ${tensors} tensors, ${formatCount(parameters)} parameters, towers: ${towers}`,
      );
    } catch (error) {
      if (error instanceof ModelDoesNotFit) printDifferences(error.differences);
      throw error;
    }
  },
});

function printDifferences(differences: ModelDifference[]): void {
  const rows = differences.map(({ name, inFile, inNetwork }) => [
    name,
    inFile ?? 'missing',
    inNetwork ?? 'not in it',
  ]);
  note(formatTable(['tensor', 'in the file', 'in the network'], rows, terminalWidth()));
}
