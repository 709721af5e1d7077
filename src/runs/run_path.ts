/** Finding and making the folder of a new run. */
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Configuration } from '../configuration.js';
import { makeFolder } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';
import { isLockFile, refuseLocked } from '../folder_lock.js';

/** What a process does with the folder that it locks, for messages. */
export const TRAINS = 'trains in';

/** @throws UserError if `path` is a file or a folder that is not empty, or another process trains in it */
export function refuseTakenRunFolder(path: string): void {
  const there = statSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isDirectory()) throw new UserError(`${path} is a file: choose another --out`);
  refuseLocked(path, TRAINS);
  // A stale lock is not a run.
  if (readdirSync(path).every(isLockFile)) return;
  throw new UserError(
    `the run folder ${path} exists and is not empty: choose another --out or --resume it`,
  );
}

/** `runs/NAME`, or the first of `runs/NAME-2`, `runs/NAME-3` … that is free. */
export function freeRunPath({ name }: Configuration): string {
  const base = join('runs', basename(name, '.json'));
  if (!existsSync(base)) return base;
  for (let number = 2; ; number++) {
    if (!existsSync(`${base}-${number}`)) return `${base}-${number}`;
  }
}

/** Makes the folder of `freeRunPath`: of two processes that find the same path free only one gets it. */
export function makeFreeRunPath(configuration: Configuration): string {
  for (;;) {
    const path = freeRunPath(configuration);
    makeFolder(dirname(path));
    try {
      mkdirSync(path);
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw new UserError(`cannot create the folder ${path}: ${messageOf(error)}`);
    }
  }
}
