/**
 * Reads small files whole, up to a limit. A device or a pipe in place of the file, or a file that has grown without
 * end, is refused before it fills the memory.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { UserError, messageOf } from './errors.js';

/** Bytes. */
const PIECE = 65_536;

/**
 * Reads a file of at most `longest` bytes.
 *
 * @throws UserError naming the file if it is longer or cannot be read
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

/**
 * Reads a text that a user may have written: UTF-8 with or without a byte-order mark, or UTF-16 with one, as Windows
 * editors and PowerShell save files.
 *
 * @param longest bytes
 * @throws UserError naming the file if it is longer or cannot be read
 */
export function readSmallText(path: string, longest: number): string {
  const bytes = readSmallFile(path, longest);
  const isUtf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
  // A TextDecoder leaves the byte-order mark out.
  return new TextDecoder(isUtf16 ? 'utf-16le' : 'utf-8').decode(bytes);
}

/** Reads piece by piece, because a pipe does not know its length. */
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
