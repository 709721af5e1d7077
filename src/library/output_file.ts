/** A file that a command writes at its end: whether it can, known before hours of work. */
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.js';

/**
 * @param option that names the file, such as `--report`
 * @param example a name for it in a folder
 * @throws UserError if the folder of `file` is missing, or `file` is itself a folder
 */
export function refuseOutputFile(option: string, file: string, example: string): void {
  const folder = dirname(file);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new UserError(
      `${option} ${file}: there is no folder ${folder}; make it, or name another`,
    );
  }
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw new UserError(
      `${option} ${file} is a folder: name a file, such as ${join(file, example)}`,
    );
  }
}
