/**
 * Writes a run's parameters for other programs.
 *
 *     twotower export runs/demo --format safetensors demo.safetensors
 *     twotower export runs/demo --format onnx --batch dynamic demo.onnx
 *     twotower export runs/demo --format tfjs demo-tfjs
 *     twotower export runs/demo --format html demo.html
 */
import { exportModel } from '../library/export.js';
import { print } from '../report/printing.js';
import { choice, parseWholeNumber, path, textOption } from './option_kinds.js';
import { defineCommand } from './option_table.js';
import { checkpointOption, runArgument } from './run_options.js';

export const command = defineCommand({
  command: 'export <run> <file>',
  positionals: {
    ...runArgument,
    file: path({ describe: 'File to write; with --format tfjs, a new folder' }),
  },
  options: {
    format: choice(['safetensors', 'onnx', 'tfjs', 'html'], {
      describe:
        'safetensors: a state_dict for PyTorch (default); onnx: a model from normalized images, NCHW, to logits; tfjs: a TensorFlow.js graph model from pixels, NHWC, to probabilities; html: a page that classifies pictures in the browser',
    }),
    batch: textOption(
      { describe: 'ONNX: batch size, or "dynamic" for any (default 1)' },
      (given, name) => (given === 'dynamic' ? given : parseWholeNumber(given, name, 1)),
    ),
    ...checkpointOption,
  },
  examples: [
    ['export runs/demo demo.safetensors', 'A state_dict that PyTorch loads'],
    [
      'export runs/demo demo.onnx --format onnx --batch dynamic',
      'A model for any number of images',
    ],
    ['export runs/demo demo.html --format html', 'A page to drop pictures on'],
    ['export runs/demo demo-tfjs --format tfjs', "A model for TensorFlow.js's loadGraphModel"],
  ],
  run: ({ run, file, ...options }) => {
    const { tensors, source } = exportModel(run, file, options);
    print(`${file}: ${tensors} tensors from ${source}`);
  },
});
