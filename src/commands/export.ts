/**
 *     twotower export runs/demo --format safetensors demo.safetensors
 */
import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { UserError, messageOf } from '../errors.js';
import { checkpointFiles, requireCheckpoint } from '../training/checkpoint.js';
import { openRunFolder } from '../training/run_folder.js';
import { readSafetensors } from '../training/safetensors.js';

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
        format: { choices: ['safetensors'] as const, default: 'safetensors' as const },
      }) as never,
  handler: run,
};

/** A checkpoint's model file is the export: canonical names, PyTorch's layout. It is read first, so that a damaged one is not handed on. */
function run({ run, file }: ArgumentsCamelCase<ExportArguments>): void {
  const { model } = checkpointFiles(requireCheckpoint(openRunFolder(run)));
  if (existsSync(file)) throw new UserError(`${file} exists: name another file or remove it`);
  const tensors = readSafetensors(model);
  const partial = `${file}.partial-${process.pid}`;
  try {
    copyFileSync(model, partial);
    renameSync(partial, file);
  } catch (error) {
    rmSync(partial, { force: true });
    throw new UserError(`cannot write ${file}: ${messageOf(error)}`, { cause: error });
  }
  console.log(`${file}: ${tensors.size} tensors from ${model}`);
}
