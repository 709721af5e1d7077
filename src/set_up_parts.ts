/**
 * What `npm run setup` leaves (scripts/steps.mjs, scripts/native_addon.mjs): the project's own addons, and
 * where it cannot build a part, the reason in a file of that part.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { messageOf } from './errors.js';

/** Where an addon of the project lies, and the reason where set-up could not build it. */
export interface AddonPlaces {
  file: string;
  unavailable: string;
}

/** @param name as `native/build` has it */
export function addonPlaces(name: 'twotower' | 'jpeg_decoder'): AddonPlaces {
  const inBuild = (file: string): string =>
    fileURLToPath(new URL(`../../native/build/${file}`, import.meta.url));
  return { file: inBuild(`${name}.node`), unavailable: inBuild(`.${name}.unavailable`) };
}

/**
 * Why a part is missing, and the remedy, in one line.
 *
 * @param record the part's file
 */
export function recordedReason(record: string): string {
  if (!existsSync(record)) return 'it is not set up; run npm run setup';
  const { reason } = JSON.parse(readFileSync(record, 'utf8')) as { reason: string };
  return `${reason}; once that is put right, run npm run setup`;
}

/** The same of a part that is there: set-up could not remove it from a folder that it may not write to. */
export function notLoaded(error: unknown): string {
  return `it does not load (${messageOf(error)}); run npm run setup`;
}
