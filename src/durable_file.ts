/**
 * Files that are whole or not there: written beside their final name, flushed to the disk, renamed.
 *
 * Called by everything that writes into a run folder, by `export` and by `data prepare`.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { UserError, messageOf } from './errors.js';

/**
 * Writes `chunks` one after another to `path`, replacing what was there at once.
 *
 * @throws UserError naming the file, where it cannot be written; what stood there before still stands
 */
export function writeDurably(path: string, chunks: Iterable<Uint8Array>): void {
  const partial = `${path}.partial-${process.pid}`;
  try {
    const descriptor = openSync(partial, 'w');
    try {
      for (const chunk of chunks) writeWhole(descriptor, chunk);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(partial, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(partial, { force: true });
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** `value` as indented JSON, durably. */
export function writeJsonDurably(path: string, value: unknown): void {
  writeDurably(path, [jsonBytes(value)]);
}

/** `value` as an indented JSON file's bytes. */
export function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}

/** Makes what was created, renamed or removed in a folder outlast a power failure. */
export function syncFolder(path: string): void {
  sync(path, 'r');
}

/** Makes what was appended to a file outlast a power failure; creates it empty where there is none. */
export function syncFile(path: string): void {
  sync(path, 'a');
}

/** Creates the folder and those above it. */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new UserError(`cannot create the folder ${path}: ${messageOf(error)}`, { cause: error });
  }
}

function sync(path: string, flags: string): void {
  const descriptor = openSync(path, flags);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Writes all of `bytes` where the file stands. */
export function writeWhole(descriptor: number, bytes: Uint8Array): void {
  // One write(2) moves at most 2 GiB and may move less than it was asked to.
  for (let done = 0; done < bytes.length;) {
    done += writeSync(descriptor, bytes, done, Math.min(bytes.length - done, 2 ** 30));
  }
}
