/**
 * Checksums of a folder's files, so that none is read that is not as it was written: a checkpoint's, a
 * prepared data set's manifest and statistics, a run's statistics.
 *
 *     checkpoints/step-N/checksums.json   {"model.safetensors": {"bytes": 495154, "sha256": "9f86…"}, …}
 *
 * Written last, over the bytes as they went to the disk; verified before anything of the folder is used.
 * They guard against damage, not against somebody who rewrites them too: what a file says is checked
 * again by whoever reads it. Called by those three, and by what takes a file of one (`--init`, `import`).
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
/** Bytes; what `writeSummedFiles` writes has a few hundred. */
const LONGEST = 65_536;
/** Bytes that are hashed at a time: memory stays the same however long a file is. */
const PIECE = 1 << 22;

/**
 * Writes files into a folder, each durably, and their checksums beside them.
 *
 * @throws UserError where one cannot be written
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
 * Checks that `names` lie in the folder as they were written, and that the checksums are of no others.
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
  // Also the checksums are exactly what was written, so that no damage to them goes unseen.
  if (textOf(actual) !== text)
    throw new UserError(`${path} is damaged: it is not as it was written`);
}

/**
 * Checks one file against the checksums beside it, where there are any that name it: a file of a
 * checkpoint is checked wherever it is given, one from elsewhere has none.
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
    // The same as JSON of another form.
  }
  throw new UserError(`${path} is damaged: it does not hold the files' sizes and SHA-256`);
}

function isChecksum(value: unknown): value is Checksum {
  if (typeof value !== 'object' || value === null) return false;
  const { bytes, sha256 } = value as Partial<Checksum>;
  return Number.isSafeInteger(bytes) && typeof sha256 === 'string';
}

/** The size first: a file that has grown without end is not read to it. */
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
      throw new UserError(`${path} is damaged: its SHA-256 is not that of what was written`);
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
