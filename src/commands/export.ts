/**
 *     twotower export runs/demo --format safetensors demo.safetensors
 *     twotower export runs/demo --format onnx --batch dynamic demo.onnx
 */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { exportModel } from '../library/export.js';
import { print } from '../report/printing.js';
import { wholeNumber } from './options.js';

interface ExportArguments {
  run: string;
  file: string;
  format: 'safetensors' | 'onnx';
  batch?: string | undefined;
}

export const command: CommandModule<object, ExportArguments> = {
  command: 'export <run> <file>',
  describe: "Write a run's latest parameters for PyTorch (safetensors) or as an ONNX model",
  builder: (yargs) =>
    yargs
      .positional('run', { type: 'string', demandOption: true, describe: 'Run folder' })
      .positional('file', { type: 'string', demandOption: true, describe: 'File to write' })
      .options({
        format: {
          choices: ['safetensors', 'onnx'] as const,
          default: 'safetensors' as const,
          requiresArg: true,
          describe:
            'safetensors: a state_dict; onnx: a model from normalised images, NCHW, to logits',
        },
        batch: {
          type: 'string',
          requiresArg: true,
          describe: 'ONNX: images at once, or "dynamic" for any number; without it 1',
        },
      })
      .example('$0 export runs/demo demo.safetensors', 'A state_dict that PyTorch loads')
      .example(
        '$0 export runs/demo demo.onnx --format onnx --batch dynamic',
        'A model for any number of images',
      ),
  handler: run,
};

function run({ run: path, file, format, batch }: ArgumentsCamelCase<ExportArguments>): void {
  const images = batch === 'dynamic' ? batch : wholeNumber('batch', batch, 1);
  const { tensors, source } = exportModel(path, file, { format, batch: images });
  print(`${file}: ${tensors} tensors from ${source}`);
}
