/**
 * CIFAR-10 and CIFAR-100 in every form in which they are published: the binary and the Python version, unpacked or as
 * the `.tar.gz`. All become records of CIFAR-10's binary version in memory: a label, then the planes of an image.
 */
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { constants, gunzipSync } from 'node:zlib';
import * as tar from 'tar';
import { UserError, messageOf } from '../errors.js';
import { type Cifar10Set, RECORD, openCifar10 } from './cifar10.js';
import { type ByteArray, type Pickled, readPickle } from './pickle.js';

/** CIFAR-100's labels: its 100 classes, or its 20 groups of five. */
export type CifarLabels = 'fine' | 'coarse';

interface Version {
  /** The folder in the archive. */
  folder: string;
  /** A file that tells the version from others. */
  mark: string;
  train: string[];
  test: string[];
  format: 'binary' | 'pickle';
  classes: 10 | 100;
}

const FIVE = [1, 2, 3, 4, 5].map((number) => `data_batch_${number}`);
const VERSIONS: Version[] = [
  {
    folder: 'cifar-10-batches-bin',
    mark: 'data_batch_1.bin',
    train: FIVE.map((name) => `${name}.bin`),
    test: ['test_batch.bin'],
    format: 'binary',
    classes: 10,
  },
  {
    folder: 'cifar-10-batches-py',
    mark: 'data_batch_1',
    train: FIVE,
    test: ['test_batch'],
    format: 'pickle',
    classes: 10,
  },
  {
    folder: 'cifar-100-binary',
    mark: 'fine_label_names.txt',
    train: ['train.bin'],
    test: ['test.bin'],
    format: 'binary',
    classes: 100,
  },
  {
    folder: 'cifar-100-python',
    mark: 'meta',
    train: ['train'],
    test: ['test'],
    format: 'pickle',
    classes: 100,
  },
];

/** Bytes of an image's planes. */
const PLANES = RECORD - 1;
const COARSE_CLASSES = 20;

/** Where a version of CIFAR lies. */
export interface CifarPlace {
  version: Version;
  /** The folder of its files, or its archive. */
  place: string;
  isArchive: boolean;
}

/** @param place a folder or an archive @returns null if it is no version of CIFAR */
export function cifarAt(place: string): CifarPlace | null {
  if (statSync(place, { throwIfNoEntry: false })?.isFile() === true) return archiveAt(place);
  for (const version of VERSIONS) {
    for (const folder of [place, path.join(place, version.folder)]) {
      const isHere = [version.mark, ...version.train].every((file) =>
        isFile(path.join(folder, file)),
      );
      // A part of CIFAR-10's binary version is still that: what is missing is named when it is opened.
      const isPart = version.mark.endsWith('.bin') && isFile(path.join(folder, version.mark));
      if (isHere || isPart) return { version, place: folder, isArchive: false };
    }
  }
  const archive = readdirSync(place).find((name) =>
    /^cifar-100?-(binary|python)\.(tar\.gz|tgz)$/.test(name),
  );
  return archive === undefined ? null : archiveAt(path.join(place, archive));
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}

/** By the folder of the first entry of the tar. */
function archiveAt(file: string): CifarPlace | null {
  const head = Buffer.alloc(1 << 16);
  const descriptor = openSync(file, 'r');
  try {
    const length = readSync(descriptor, head);
    const tarHead = gunzipSync(head.subarray(0, length), { finishFlush: constants.Z_SYNC_FLUSH });
    const first = tarHead.toString('latin1', 0, 100).split('/')[0]!;
    const version = VERSIONS.find(({ folder }) => folder === first);
    return version === undefined ? null : { version, place: file, isArchive: true };
  } catch {
    // Not compressed with gzip.
    return null;
  } finally {
    closeSync(descriptor);
  }
}

/** @throws UserError for a file that is missing, truncated or not of this format, and for a label out of range */
export async function openCifar(
  { version, place, isArchive }: CifarPlace,
  labels: CifarLabels,
): Promise<{ classes: string[]; train: Cifar10Set; test: Cifar10Set }> {
  const isPlain = !isArchive && version.format === 'binary' && version.classes === 10;
  if (isPlain) return openCifar10(place);
  const read = isArchive ? await archiveReader(place, version) : folderReader(place);
  const classes = await classNamesOf(version, labels, read);
  const set = async (names: string[]): Promise<Cifar10Set> => {
    const parts: Uint8Array[] = [];
    for (const name of names)
      parts.push(await recordsIn(version, labels, name, read, classes.length));
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    const records = new SharedArrayBuffer(bytes);
    let filled = 0;
    for (const part of parts) {
      new Uint8Array(records).set(part, filled);
      filled += part.length;
    }
    return { kind: 'cifar10', count: bytes / RECORD, records };
  };
  return { classes, train: await set(version.train), test: await set(version.test) };
}

/** A file of the version. @throws UserError if it is missing */
type Read = (name: string) => Promise<{ file: string; bytes: Uint8Array }>;

function folderReader(folder: string): Read {
  return async (name) => {
    const file = path.join(folder, name);
    if (!existsSync(file)) throw new UserError(`${file} is missing: unpack the archive again`);
    return { file, bytes: await readFile(file) };
  };
}

async function archiveReader(archive: string, { folder }: Version): Promise<Read> {
  const files = new Map<string, Uint8Array>();
  try {
    await tar.t({
      file: archive,
      strict: true,
      onReadEntry: (entry) => {
        const chunks: Buffer[] = [];
        entry.on('data', (chunk) => chunks.push(chunk));
        entry.on('end', () => files.set(path.posix.normalize(entry.path), Buffer.concat(chunks)));
      },
    });
  } catch (error) {
    throw new UserError(`${archive} cannot be unpacked (${messageOf(error)}): fetch it again`);
  }
  return (name) => {
    const bytes = files.get(`${folder}/${name}`);
    if (bytes === undefined) throw new UserError(`${archive} has no ${name}: fetch it again`);
    return Promise.resolve({ file: `${name} in ${archive}`, bytes });
  };
}

async function classNamesOf(version: Version, labels: CifarLabels, read: Read): Promise<string[]> {
  if (version.classes === 10 && version.format === 'binary') {
    return linesOf(await read('batches.meta.txt'));
  }
  if (version.format === 'binary') return linesOf(await read(`${labels}_label_names.txt`));
  const meta = await read(version.classes === 10 ? 'batches.meta' : 'meta');
  const names = dictionary(meta).get(
    version.classes === 10 ? 'label_names' : `${labels}_label_names`,
  );
  if (!Array.isArray(names)) throw new UserError(`${meta.file} has no class names: fetch it again`);
  return names.map(String);
}

function linesOf({ bytes }: { bytes: Uint8Array }): string[] {
  return new TextDecoder()
    .decode(bytes)
    .split(/\r?\n/)
    .filter((name) => name !== '');
}

function dictionary({ file, bytes }: { file: string; bytes: Uint8Array }): Map<string, Pickled> {
  try {
    const read = readPickle(bytes);
    if (read instanceof Map) return read;
    throw new Error('it is no dictionary');
  } catch (error) {
    throw new UserError(`${file} is not a CIFAR batch (${messageOf(error)}): fetch it again`);
  }
}

/** uint8 [count, 3073] */
async function recordsIn(
  { format, classes }: Version,
  wanted: CifarLabels,
  name: string,
  read: Read,
  classCount: number,
): Promise<Uint8Array> {
  const part = await read(name);
  const { labels, planes } =
    format === 'pickle' ? pickled(part, classes, wanted) : binary(part, classes, wanted);
  const records = new Uint8Array(labels.length * RECORD);
  labels.forEach((label, index) => {
    if (!Number.isInteger(label) || label < 0 || label >= classCount) {
      throw new UserError(
        `${part.file}: record ${index} has label ${label}, but there are ${classCount} classes (0 … ${classCount - 1}); the file is damaged or of another data set`,
      );
    }
    records[index * RECORD] = label;
    records.set(planes(index), index * RECORD + 1);
  });
  return records;
}

interface Labelled {
  labels: number[];
  planes: (index: number) => Uint8Array;
}

function pickled(
  part: { file: string; bytes: Uint8Array },
  classes: number,
  wanted: CifarLabels,
): Labelled {
  const read = dictionary(part);
  const labels = read.get(classes === 10 ? 'labels' : `${wanted}_labels`);
  const data = read.get('data') as ByteArray | undefined;
  const isWhole = Array.isArray(labels) && data?.bytes?.length === labels.length * PLANES;
  if (!isWhole) throw new UserError(`${part.file} has no labels or no images: fetch it again`);
  return {
    labels: labels.map(Number),
    planes: (index) => data.bytes.subarray(index * PLANES, (index + 1) * PLANES),
  };
}

/** CIFAR-100's records begin with two labels, the coarse one first. */
function binary(
  { file, bytes }: { file: string; bytes: Uint8Array },
  classes: number,
  wanted: CifarLabels,
): Labelled {
  const labelBytes = classes === 10 ? 1 : 2;
  const length = labelBytes + PLANES;
  if (bytes.length === 0 || bytes.length % length !== 0) {
    throw new UserError(
      `${file} is truncated: ${bytes.length} bytes are not a whole number of ${length}-byte records; fetch it again`,
    );
  }
  const at = classes === 100 && wanted === 'fine' ? 1 : 0;
  return {
    labels: Array.from(
      { length: bytes.length / length },
      (_, index) => bytes[index * length + at]!,
    ),
    planes: (index) => bytes.subarray(index * length + labelBytes, (index + 1) * length),
  };
}

/** Number of classes of a version, by the labels that are asked for. */
export function classesOf({ version }: CifarPlace, labels: CifarLabels = 'fine'): number {
  return version.classes === 100 && labels === 'coarse' ? COARSE_CLASSES : version.classes;
}
