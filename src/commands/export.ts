/**
 *     twotower export runs/demo --format safetensors demo.safetensors
 */
import { existsSync } from 'node:fs';
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { UserError } from '../errors.js';
import { checkpointFiles, requireCheckpoint } from '../training/checkpoint.js';
import { openRunFolder } from '../training/run_folder.js';
import { readSafetensors, writeSafetensors } from '../training/safetensors.js';

interface ExportArguments {
  run: string;
  file: string;
  format: 'safetensors';
}

export const command: CommandModule<object, ExportArguments> = {
  command: 'export <run> <file>',
  describe: "Write a run's latest parameters as a PyTorch state_dict in a safetensors file",
  builder: (yargs) =>
    yargs
      .positional('run', { type: 'string', demandOption: true, describe: 'Run folder' })
      .positional('file', { type: 'string', demandOption: true, describe: 'File to write' })
      .options({
        format: {
          choices: ['safetensors'] as const,
          default: 'safetensors' as const,
          requiresArg: true,
          describe: 'Layout of the file',
        },
      }),
  handler: run,
};

/** A checkpoint's model file is the export: canonical names, PyTorch's layout. */
function run({ run, file }: ArgumentsCamelCase<ExportArguments>): void {
  const { model } = checkpointFiles(requireCheckpoint(openRunFolder(run)));
  if (existsSync(file)) throw new UserError(`${file} exists: name another file or remove it`);
  const tensors = readSafetensors(model);
  writeSafetensors(file, tensors, { format: 'pt' });
  console.log(`${file}: ${tensors.size} tensors from ${model}`);
}
