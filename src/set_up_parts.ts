/**
 * The results of set-up (scripts/steps.mjs): the project's own addons, which it builds unless the package brings
 * them, and, for a part that it cannot build, a file with the reason.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { messageOf } from './errors.js';

/** The file of an addon of the project, and the file with the reason if set-up could not build it. */
export interface AddonPlaces {
  file: string;
  unavailable: string;
  /** Whether `file` came with the package, instead of being compiled here. */
  isPrebuilt: boolean;
}

/** As in `native/build` and `native/prebuilt`. */
type AddonName =
  'twotower' | 'twotower_cuda' | 'jpeg_decoder' | 'mpi_openmpi' | 'mpi_mpich' | 'tensorflow';

/** @param name TensorFlow has only its reason there */
export function addonPlaces(name: AddonName): AddonPlaces {
  const inNative = (file: string): string =>
    fileURLToPath(new URL(`../../native/${file}`, import.meta.url));
  const built = inNative(`build/${name}.node`);
  const unavailable = inNative(`build/.${name}.unavailable`);
  const prebuilt = inNative(`prebuilt/${process.platform}-${process.arch}/${name}.node`);
  // Set-up records a reason only if the prebuilt one does not load.
  const isPrebuilt = existsSync(prebuilt) && ![built, unavailable].some((file) => existsSync(file));
  return { file: isPrebuilt ? prebuilt : built, unavailable, isPrebuilt };
}

/**
 * Why a part is missing, and the remedy, in one line.
 *
 * @param record the part's file
 * @param notTried the answer if set-up has not tried to prepare the part
 */
export function recordedReason(
  record: string,
  notTried = 'it is not set up; run npm run setup',
): string {
  if (process.platform !== 'linux') return 'it is for Linux only';
  if (!existsSync(record)) return notTried;
  const { reason } = JSON.parse(readFileSync(record, 'utf8')) as { reason: string };
  return `${reason}; once that is put right, run npm run setup`;
}

/** Why a part that exists cannot be used: set-up could not remove it from a folder that it may not write to. */
export function notLoaded(error: unknown): string {
  return `it does not load (${messageOf(error)}); run npm run setup`;
}
