/**
 * Makes a run of parameters from PyTorch, torchvision or Caffe.
 *
 *     twotower import alexnet.safetensors --preset torchvision-alexnet --classes names.txt
 *     twotower import bvlc_alexnet.caffemodel --preset caffe-alexnet --mean imagenet_mean.binaryproto
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
    file: path({
      describe:
        "Safetensors file (conv1.weight … fc3.bias, dense or grouped; or torchvision's alexnet) or Caffe's .caffemodel",
    }),
  },
  options: {
    preset,
    config,
    data,
    towers: wholeNumber(1, {
      ...towers.help,
      describe: "Number of towers (default: as many groups as the file's convolutions have)",
    }),
    classes: path({ describe: 'File with the names of the classes, one per line' }),
    mean: path({
      describe:
        "With a .caffemodel, its training images' mean: a .binaryproto, or blue, green, red: 104,117,123",
    }),
    settings,
    ...newRunOption,
  },
  examples: [
    [
      'import alexnet.safetensors --preset torchvision-alexnet --classes names.txt',
      'Into runs/torchvision-alexnet, with the names of its classes',
    ],
    [
      'import bvlc_alexnet.caffemodel --preset caffe-alexnet --mean imagenet_mean.binaryproto',
      "A network of Caffe's, with its mean image",
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
