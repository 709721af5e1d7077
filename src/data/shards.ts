/**
 * Shards of a prepared data set: files of many JPEGs, one after another, which are read from front to back.
 *
 *     uint32 "TTSH"   uint32 examples   then for each example: uint32 start, uint32 length, int32 label
 *     the JPEGs, each at its start
 *
 * All numbers are little-endian. A start counts from the beginning of the file.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { writeDurably } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';

/** "TTSH" in the file's byte order. */
const MAGIC = 0x48535454;
const HEADER = 8;
const ENTRY = 12;

/** Examples on their way into a shard. */
export interface ShardContent {
  /** Bytes of each example's JPEG. */
  lengths: number[];
  /** Of the same length. */
  labels: number[];
  /** The JPEGs one after another. */
  jpegs: Uint8Array;
}

/** Where the examples of a shard lie: three arrays of the same length. */
export interface ShardIndex {
  starts: Uint32Array;
  lengths: Uint32Array;
  labels: Int32Array;
}

/**
 * Writes a whole shard or none.
 * @returns bytes of the file
 * @throws UserError naming the file if it cannot be written, as on a full disk
 */
export function writeShard(file: string, { lengths, labels, jpegs }: ShardContent): number {
  const index = new DataView(new ArrayBuffer(HEADER + ENTRY * lengths.length));
  index.setUint32(0, MAGIC, true);
  index.setUint32(4, lengths.length, true);
  let end = index.byteLength;
  lengths.forEach((length, at) => {
    const entry = HEADER + ENTRY * at;
    index.setUint32(entry, end, true);
    index.setUint32(entry + 4, length, true);
    index.setInt32(entry + 8, labels[at]!, true);
    end += length;
  });
  writeDurably(file, [new Uint8Array(index.buffer), jpegs]);
  return end;
}

/** The remedy of every shard that cannot be read. */
export const PREPARE_AGAIN = 'run twotower data prepare again into a new folder';

/** @throws UserError if it is missing or cannot be read */
export function openShard(file: string): number {
  try {
    return openSync(file, 'r');
  } catch (error) {
    throw new UserError(`the shard ${file} cannot be read (${messageOf(error)}): ${PREPARE_AGAIN}`);
  }
}

/**
 * @param count examples that the shard must have @param classes labels must be below it
 * @throws UserError for a shard that is missing, cut short or not what `count` and `classes` say
 */
export function readShardIndex(file: string, count: number, classes: number): ShardIndex {
  const descriptor = openShard(file);
  try {
    const { size } = fstatSync(descriptor);
    // Before memory is taken for it.
    if (size < HEADER + ENTRY * count) {
      throw new UserError(`the shard ${file} is damaged or cut short: ${PREPARE_AGAIN}`);
    }
    const bytes = new Uint8Array(HEADER + ENTRY * count);
    const view = new DataView(bytes.buffer);
    const isWhole = readFully(descriptor, bytes, 0);
    if (!isWhole || view.getUint32(0, true) !== MAGIC || view.getUint32(4, true) !== count) {
      throw new UserError(`the shard ${file} is damaged or cut short: ${PREPARE_AGAIN}`);
    }
    const index: ShardIndex = {
      starts: new Uint32Array(count),
      lengths: new Uint32Array(count),
      labels: new Int32Array(count),
    };
    let end = bytes.length;
    for (let at = 0; at < count; at++) {
      const entry = HEADER + ENTRY * at;
      const start = (index.starts[at] = view.getUint32(entry, true));
      if (start !== end) {
        throw new UserError(`the shard ${file} is damaged: a hole or an overlap; ${PREPARE_AGAIN}`);
      }
      end = start + (index.lengths[at] = view.getUint32(entry + 4, true));
      const label = (index.labels[at] = view.getInt32(entry + 8, true));
      if (end > size) {
        throw new UserError(`the shard ${file} is cut short: ${size} bytes; ${PREPARE_AGAIN}`);
      }
      if (label < 0 || label >= classes) {
        throw new UserError(
          `the shard ${file} is damaged: label ${label} of ${classes} classes; ${PREPARE_AGAIN}`,
        );
      }
    }
    if (end !== size) {
      throw new UserError(
        `the shard ${file} is damaged: ${size - end} bytes too many; ${PREPARE_AGAIN}`,
      );
    }
    return index;
  } finally {
    closeSync(descriptor);
  }
}

/** Reads `into.length` bytes from `start`. @returns false if the file ends before */
export function readFully(descriptor: number, into: Uint8Array, start: number): boolean {
  for (let filled = 0; filled < into.length;) {
    const read = readSync(descriptor, into, filled, into.length - filled, start + filled);
    if (read === 0) return false;
    filled += read;
  }
  return true;
}
