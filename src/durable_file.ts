/** Writes files that are whole or not there: beside their final name, flushed to the disk, then renamed. */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError, messageOf } from './errors.js';

/**
 * Writes `chunks` one after another to `path`, replacing at once what was there.
 *
 * @throws UserError naming the file if it cannot be written; what was there before is unchanged
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

/**
 * Writes a new folder of files that is whole or not there.
 *
 * @param files the chunks of each, by name
 * @throws UserError naming the folder if it cannot be written, or exists
 */
export function writeFolderDurably(
  path: string,
  files: Iterable<[name: string, chunks: Iterable<Uint8Array>]>,
): void {
  const partial = `${path}.partial-${process.pid}`;
  try {
    mkdirSync(partial);
    for (const [name, chunks] of files) writeDurably(join(partial, name), chunks);
    renameSync(partial, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    const cause = error instanceof UserError ? error.cause : error;
    throw new UserError(`cannot write ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** Writes `value` as indented JSON. */
export function writeJsonDurably(path: string, value: unknown): void {
  writeDurably(path, [jsonBytes(value)]);
}

/** The bytes of `value` as indented JSON, with a newline. */
export function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}

/** Flushes what was created, renamed or removed in a folder, so that it outlasts a power failure. */
export function syncFolder(path: string): void {
  sync(path, 'r');
}

/** Flushes a file, so that it outlasts a power failure. @throws the system's error if there is none */
export function syncFile(path: string): void {
  sync(path, 'r+');
}

/** Creates a folder and those above it, as far as they are missing. */
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

/** Writes all of `bytes` at the file's current position. */
export function writeWhole(descriptor: number, bytes: Uint8Array): void {
  // One write(2) moves at most 2 GiB, and may move less than it was given.
  for (let done = 0; done < bytes.length;) {
    done += writeSync(descriptor, bytes, done, Math.min(bytes.length - done, 2 ** 30));
  }
}
