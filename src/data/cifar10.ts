/**
 * CIFAR-10's binary version (https://www.cs.toronto.edu/~kriz/cifar.html): `data_batch_1.bin` … `data_batch_5.bin`
 * and `test_batch.bin`, each a run of 3,073-byte records: the label, then 32×32 bytes of red, of green and of blue.
 * Files may hold fewer records than the original's 10,000. The records lie in memory that all decoders share.
 */
import { existsSync, statSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { UserError, messageOf } from '../errors.js';
import type { Image } from './image.js';
import type { Part } from './part.js';

const SIDE = 32;
const PLANE = SIDE * SIDE;
/** Bytes of a record. */
export const RECORD = 1 + 3 * PLANE;
const TRAIN_FILES = [1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`);
const NAMES = 'airplane automobile bird cat deer dog frog horse ship truck'.split(' ');

export interface Cifar10Set extends Part {
  kind: 'cifar10';
  count: number;
  /** uint8 [records, 3073], as in the files. */
  records: SharedArrayBuffer;
}

/**
 * @param directory holds the files, or a folder `cifar-10-batches-bin` with them (the archive's name)
 * @throws UserError for a missing or truncated file and for a label out of range
 */
export async function openCifar10(
  directory: string,
): Promise<{ classes: string[]; train: Cifar10Set; test: Cifar10Set }> {
  const unpacked = path.join(directory, 'cifar-10-batches-bin');
  const home = existsSync(unpacked) ? unpacked : directory;
  const classes = await readClassNames(path.join(home, 'batches.meta.txt'));
  const train = await readRecords(home, TRAIN_FILES, classes.length);
  const test = await readRecords(home, ['test_batch.bin'], classes.length);
  return { classes, train, test };
}

async function readClassNames(file: string): Promise<string[]> {
  if (!existsSync(file)) return NAMES;
  return (await readFile(file, 'utf8')).split(/\r?\n/).filter((name) => name !== '');
}

async function readRecords(home: string, names: string[], classes: number): Promise<Cifar10Set> {
  const files = names.map((name) => path.join(home, name));
  const sizes = files.map(bytesOfWholeRecords);
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const largest = files[sizes.indexOf(Math.max(...sizes))]!;
  const records = memoryFor(total, largest);
  let offset = 0;
  for (const [index, file] of files.entries()) {
    const part = new Uint8Array(records, offset, sizes[index]);
    await readInto(part, file);
    checkLabels(file, part, classes);
    offset += part.length;
  }
  return { kind: 'cifar10', count: total / RECORD, records };
}

function bytesOfWholeRecords(file: string): number {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) {
    throw new UserError(
      `${file} is missing: --data takes the folder of CIFAR-10's binary version (${TRAIN_FILES[0]} … ${TRAIN_FILES[4]}, test_batch.bin)`,
    );
  }
  const bytes = found.size;
  if (!found.isFile() || bytes === 0 || bytes % RECORD !== 0) {
    throw new UserError(
      `${file} is truncated: ${bytes} bytes are not a whole number of ${RECORD}-byte records; remove its folder and fetch it again`,
    );
  }
  return bytes;
}

function memoryFor(bytes: number, largest: string): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(bytes);
  } catch (error) {
    throw new UserError(
      `${largest} and the files beside it do not fit into memory: ${bytes} bytes (${messageOf(error)})`,
    );
  }
}

async function readInto(part: Uint8Array, file: string): Promise<void> {
  try {
    const handle = await open(file);
    try {
      for (let filled = 0; filled < part.length;) {
        const { bytesRead } = await handle.read(part, filled, part.length - filled, filled);
        if (bytesRead === 0) throw new UserError(`${file} was truncated while it was read`);
        filled += bytesRead;
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function checkLabels(file: string, records: Uint8Array, classes: number): void {
  for (let record = 0; record * RECORD < records.length; record++) {
    const label = records[record * RECORD]!;
    if (label >= classes) {
      throw new UserError(
        `${file}: record ${record} has label ${label}, but there are ${classes} classes (0 … ${classes - 1}); the file is damaged or of another data set`,
      );
    }
  }
}

/** Writes record `index` to `pixels`, uint8 [32, 32, 3], and returns it with its label. */
export function readRecord(
  set: Cifar10Set,
  index: number,
  pixels: Uint8Array,
): { image: Image; label: number } {
  const record = new Uint8Array(set.records, index * RECORD, RECORD);
  for (let pixel = 0; pixel < PLANE; pixel++) {
    pixels[pixel * 3] = record[1 + pixel]!;
    pixels[pixel * 3 + 1] = record[1 + PLANE + pixel]!;
    pixels[pixel * 3 + 2] = record[1 + 2 * PLANE + pixel]!;
  }
  return { image: { height: SIDE, width: SIDE, pixels }, label: record[0]! };
}
