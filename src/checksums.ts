/**
 * Checksums of a folder's files, which show whether a file is still as it was written. Checkpoints, prepared
 * data sets and a run's statistics have them.
 *
 *     checkpoints/step-N/checksums.json   {"model.safetensors": {"bytes": 495154, "sha256": "9f86…"}, …}
 *
 * They are written last, and verified before a file of the folder is used. They guard against damage, not
 * against somebody who rewrites them too: readers check what a file says as well.
 */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readSmallFile } from './bounded_file.js';
import { UserError, messageOf } from './errors.js';
import { writeDurably } from './durable_file.js';

interface Checksum {
  bytes: number;
  /** Hexadecimal. */
  sha256: string;
}

/** By file name, in the order in which the files were written. */
type Checksums = Record<string, Checksum>;

const FILE = 'checksums.json';
/** Bytes; our files have a few hundred. */
const LONGEST = 65_536;
/** Bytes hashed at a time, so that memory stays the same however long a file is. */
const PIECE = 1 << 22;

/**
 * Writes files into a folder, each durably, and their checksums beside them.
 *
 * @throws UserError if one cannot be written
 */
export function writeSummedFiles(
  folder: string,
  files: Record<string, Iterable<Uint8Array>>,
): void {
  const sums: Checksums = {};
  for (const [name, chunks] of Object.entries(files)) {
    writeDurably(
      join(folder, name),
      summed(chunks, (sum) => (sums[name] = sum)),
    );
  }
  writeDurably(join(folder, FILE), [new TextEncoder().encode(textOf(sums))]);
}

function* summed(
  chunks: Iterable<Uint8Array>,
  end: (sum: Checksum) => void,
): Generator<Uint8Array> {
  const hash = createHash('sha256');
  let bytes = 0;
  for (const chunk of chunks) {
    for (let start = 0; start < chunk.length; start += PIECE) {
      hash.update(chunk.subarray(start, start + PIECE));
    }
    bytes += chunk.length;
    yield chunk;
  }
  end({ bytes, sha256: hash.digest('hex') });
}

/**
 * Checks that the files `names` are as they were written, and that the checksums name no others.
 *
 * @throws UserError naming the file that is damaged or missing
 */
export function verifySummedFiles(folder: string, names: string[]): void {
  const path = join(folder, FILE);
  const { sums, text } = readChecksums(path);
  const actual: Checksums = {};
  for (const name of names) {
    const stored = sums.get(name);
    if (stored === undefined) throw new UserError(`${path} is damaged: it has no ${name}`);
    actual[name] = verified(join(folder, name), stored);
  }
  // The checksums themselves must be what was written, so that damage to them is seen too.
  if (textOf(actual) !== text)
    throw new UserError(`${path} is damaged: it has changed since it was written`);
}

/**
 * Checks one file against the checksums beside it, if there are any that name it. Files of a checkpoint have
 * them; files from elsewhere do not.
 *
 * @throws UserError naming the file that is damaged
 */
export function verifyIfSummed(file: string): void {
  const path = join(dirname(file), FILE);
  if (!existsSync(path)) return;
  const stored = readChecksums(path).sums.get(basename(file));
  if (stored !== undefined) verified(file, stored);
}

function readChecksums(path: string): { sums: Map<string, Checksum>; text: string } {
  if (!existsSync(path)) throw new UserError(`${path} is missing`);
  const text = readSmallFile(path, LONGEST).toString('utf8');
  try {
    const entries = Object.entries(JSON.parse(text) as Record<string, unknown>);
    const sums = new Map(
      entries.filter((entry): entry is [string, Checksum] => isChecksum(entry[1])),
    );
    if (sums.size === entries.length) return { sums, text };
  } catch {
    // Refused below, as is JSON of another form.
  }
  throw new UserError(`${path} is damaged: it does not hold the files' sizes and SHA-256`);
}

function isChecksum(value: unknown): value is Checksum {
  if (typeof value !== 'object' || value === null) return false;
  const { bytes, sha256 } = value as Partial<Checksum>;
  return Number.isSafeInteger(bytes) && typeof sha256 === 'string';
}

/** Compares the size first: a file that has grown without end is not read. */
function verified(path: string, stored: Checksum): Checksum {
  return withFile(path, (descriptor, bytes) => {
    if (bytes !== stored.bytes) {
      throw new UserError(
        `${path} is damaged: it has ${bytes} bytes, and ${stored.bytes} were written`,
      );
    }
    const hash = createHash('sha256');
    const piece = new Uint8Array(Math.min(PIECE, bytes));
    for (let done = 0; done < bytes;) {
      const count = readSync(descriptor, piece, 0, piece.length, done);
      if (count === 0) throw new UserError(`${path} became shorter while it was read`);
      hash.update(piece.subarray(0, count));
      done += count;
    }
    const sha256 = hash.digest('hex');
    if (sha256 !== stored.sha256) {
      throw new UserError(`${path} is damaged: its SHA-256 differs from the one recorded`);
    }
    return { bytes, sha256 };
  });
}

function withFile<Result>(path: string, use: (descriptor: number, size: number) => Result): Result {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    return use(descriptor, fstatSync(descriptor).size);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read ${path}: ${messageOf(error)}`, { cause: error });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function textOf(sums: Checksums): string {
  return `${JSON.stringify(sums, null, 2)}\n`;
}
