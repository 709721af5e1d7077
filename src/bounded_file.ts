/**
 * Reads small files whole, and no more of them than a limit: a device or a pipe in a file's place, or a file
 * that has grown without end, is refused before it fills the memory. Called by whoever parses a file of
 * ours or a user's as a whole.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { UserError, messageOf } from './errors.js';

/** Bytes. */
const PIECE = 65_536;

/**
 * @param longest bytes
 * @throws UserError naming the file that is longer, or cannot be read
 */
export function readSmallFile(path: string, longest: number): Buffer {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    return readAtMost(descriptor, longest);
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${messageOf(error)}`, { cause: error });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Piece by piece, since a pipe does not know its length. */
function readAtMost(descriptor: number, longest: number): Buffer {
  const pieces: Buffer[] = [];
  for (let total = 0; ;) {
    const piece = Buffer.allocUnsafe(PIECE);
    const count = readSync(descriptor, piece);
    if (count === 0) return Buffer.concat(pieces, total);
    pieces.push(piece.subarray(0, count));
    total += count;
    if (total > longest) throw new Error(`it is longer than ${longest} bytes`);
  }
}
