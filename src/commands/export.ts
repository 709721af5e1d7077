/**
 *     twotower export runs/demo --format safetensors demo.safetensors
 *     twotower export runs/demo --format onnx --batch dynamic demo.onnx
 */
import { existsSync } from 'node:fs';
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { loadConfiguration } from '../configuration.js';
import { writeDurably } from '../durable_file.js';
import { UserError } from '../errors.js';
import { buildNetwork } from '../model/network.js';
import { onnxModel } from '../model/onnx.js';
import { checkpointFiles, requireCheckpoint } from '../training/checkpoint.js';
import { openRunFolder } from '../training/run_folder.js';
import type { RunFolder } from '../training/run_folder.js';
import { readSafetensors, writeSafetensors } from '../training/safetensors.js';
import type { TensorMap } from '../training/safetensors.js';
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
      }),
  handler: run,
};

function run({ run: path, file, format, batch }: ArgumentsCamelCase<ExportArguments>): void {
  const run = openRunFolder(path);
  const { model } = checkpointFiles(requireCheckpoint(run));
  if (existsSync(file)) throw new UserError(`${file} exists: name another file or remove it`);
  if (batch !== undefined && format !== 'onnx') {
    throw new UserError('--batch goes with --format onnx only: safetensors holds parameters alone');
  }
  const tensors = readSafetensors(model);
  if (format === 'onnx') {
    writeOnnx(file, run, tensors, batch === 'dynamic' ? batch : wholeNumber('batch', batch, 1));
  } else {
    // A checkpoint's model file is the export: canonical names, PyTorch's layout.
    writeSafetensors(file, tensors, { format: 'pt' });
  }
  console.log(`${file}: ${tensors.size} tensors from ${model}`);
}

function writeOnnx(
  file: string,
  run: RunFolder,
  tensors: TensorMap,
  batch: number | 'dynamic' = 1,
): void {
  const { network, towers, data } = loadConfiguration({ file: run.configurationFile });
  const metadata = {
    input: 'images [batch, channels, height, width]: (value / 255 - mean) / std of each channel',
    mean: data.mean.join(' '),
    std: data.std.join(' '),
    output: 'logits [batch, classes], before the softmax',
  };
  const built = buildNetwork(network, towers, data.classes);
  writeDurably(file, [onnxModel(built, tensors, { batch, metadata })]);
}
