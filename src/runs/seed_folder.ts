/**
 * A folder of runs that differ by their random seed alone.
 *
 *     runs/NAME/seeds.json   the seeds, and what the runs begin with if that is not drawn from the seed
 *               seed-1/      a run folder (layout.ts)
 *               seed-2/
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeJsonDurably } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';
import type { CheckpointChoice } from './checkpoint_reader.js';
import { runFolderAt, seedsFileAt } from './layout.js';

export interface SeedFolder {
  path: string;
  /** In the order in which they are trained; at least one, each once. */
  seeds: number[];
  /** Where the initial parameters come from. */
  initial: {
    /** Absolute path of a safetensors file or a run folder. */
    init?: string;
    initExcept?: string[];
    checkpoint?: CheckpointChoice;
  };
}

/** Whether a path is a folder of `trainSeeds`, with a run per random seed, and not a run folder. */
export function isSeedFolder(path: string): boolean {
  return existsSync(seedsFileAt(path));
}

/** @throws UserError if there is no `seeds.json`, or it is malformed */
export function readSeedFolder(path: string): SeedFolder {
  const file = seedsFileAt(path);
  try {
    const { seeds, initial } = JSON.parse(readFileSync(file, 'utf8')) as Omit<SeedFolder, 'path'>;
    if (!Array.isArray(seeds) || seeds.length === 0 || !seeds.every(Number.isSafeInteger)) {
      throw new Error('seeds is not a list of whole numbers');
    }
    if (typeof initial !== 'object') throw new Error('initial is missing');
    return { path, seeds, initial };
  } catch (error) {
    throw new UserError(`cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}

export function writeSeedFolder({ path, ...contents }: SeedFolder): void {
  writeJsonDurably(seedsFileAt(path), contents);
}

export function seedRunPath({ path }: Pick<SeedFolder, 'path'>, seed: number): string {
  return join(path, `seed-${seed}`);
}

/** The run folders among those of a folder's seeds that have begun, in the order of the seeds. */
export function begunRuns(folder: SeedFolder): string[] {
  return folder.seeds
    .map((seed) => seedRunPath(folder, seed))
    .filter((path) => existsSync(runFolderAt(path).configurationFile));
}

/**
 * The run folders that a path given by the user stands for: those of a folder of seeds, else the path itself.
 *
 * @throws UserError if none of the seeds has begun
 */
export function runPathsAt(path: string): string[] {
  if (!isSeedFolder(path)) return [path];
  const runs = begunRuns(readSeedFolder(path));
  if (runs.length > 0) return runs;
  throw new UserError(`${path} has no run yet: continue with --resume ${path}`);
}
