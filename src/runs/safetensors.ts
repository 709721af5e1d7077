/**
 * Reads and writes safetensors files of float32 tensors; of other types it reads the header.
 *
 * The format (safetensors' documentation, "Format") has three parts:
 * - 8 bytes: the length N of the header, little-endian;
 * - N bytes: the header as JSON, `{"name": {"dtype": "F32", "shape": [...], "data_offsets": [begin, end]},
 *   "__metadata__": {...}}`, padded with spaces to a multiple of 8;
 * - the data: little-endian, row-major, without holes.
 *
 * Tensors are read into SharedArrayBuffers, so that tower workers take their slices without a copy.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { UserError, messageOf } from '../errors.js';
import { writeDurably } from '../durable_file.js';

/** A float32 tensor. */
export interface StoredTensor {
  shape: number[];
  /** Row-major; its length is the product of `shape`. */
  data: Float32Array;
}

/** Tensors by name, in the order of the file. */
export type TensorMap = Map<string, StoredTensor>;

const BYTES = Float32Array.BYTES_PER_ELEMENT;

/** The reference reader's limit. */
const LONGEST_HEADER = 100_000_000;

/** Bytes per element. The size of tensors of other types is not checked: some take less than a byte. */
const TYPE_BYTES: Partial<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
};

/** A tensor as the header describes it. */
export interface DescribedTensor {
  /** `F32`, `F16`, `BF16` … */
  dtype: string;
  shape: number[];
}

/** The first bytes of a zip archive, the format of torch.save. */
const ZIP = [0x50, 0x4b, 0x03, 0x04];

interface HeaderEntry extends DescribedTensor {
  name: string;
  begin: number;
  end: number;
}

/**
 * Writes `tensors` in the map's order, their data straight from its arrays.
 *
 * @param metadata strings for `__metadata__`, such as `{ format: 'pt' }`
 * @throws UserError if the file cannot be written
 */
export function writeSafetensors(
  path: string,
  tensors: TensorMap,
  metadata?: Record<string, string>,
): void {
  writeDurably(path, safetensorsChunks(tensors, metadata));
}

/** The bytes of such a file, piece by piece. */
export function* safetensorsChunks(
  tensors: TensorMap,
  metadata?: Record<string, string>,
): Generator<Uint8Array> {
  const entries: [string, unknown][] = metadata ? [['__metadata__', metadata]] : [];
  let end = 0;
  for (const [name, { shape, data }] of tensors) {
    if (data.length !== sizeOf(shape)) {
      throw new Error(`tensor ${name} [${shape.join(', ')}] has ${data.length} values`);
    }
    const begin = end;
    end += data.length * BYTES;
    entries.push([name, { dtype: 'F32', shape, data_offsets: [begin, end] }]);
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  yield header;
  for (const { data } of tensors.values()) yield bytesOf(data);
}

/**
 * Reads all tensors, in the order of their data in the file.
 *
 * @throws UserError naming the file and what is wrong with it
 */
export function readSafetensors(path: string): TensorMap {
  return readTensors(path, () => true);
}

/**
 * Reads one tensor and no other data of the file.
 *
 * @returns undefined if the file has no tensor of that name
 * @throws UserError naming the file and what is wrong with it
 */
export function readTensor(path: string, name: string): StoredTensor | undefined {
  return readTensors(path, (entry) => entry.name === name).get(name);
}

function readTensors(path: string, isWanted: (entry: HeaderEntry) => boolean): TensorMap {
  const descriptor = openToRead(path);
  try {
    const { entries, start } = readHeader(descriptor, path);
    const wanted = entries.filter(isWanted);
    const other = wanted.find(({ dtype }) => dtype !== 'F32');
    if (other !== undefined) {
      throw invalid(path, `tensor ${other.name} has dtype "${other.dtype}"; only F32 is read`);
    }
    const tensors: TensorMap = new Map();
    for (const { name, shape, begin, end } of wanted) {
      const data = new Float32Array(memoryFor(path, name, end - begin));
      readAt(descriptor, path, start + begin, bytesOf(data));
      tensors.set(name, { shape, data });
    }
    return tensors;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Checks that every value of tensors read from `path` is finite. A network computes on with NaN, and may
 * show it nowhere: pooling and ReLU can drop it.
 *
 * @throws UserError naming the first tensor that has another value, and where
 */
export function refuseNotFinite(tensors: TensorMap, path: string): void {
  for (const [name, { shape, data }] of tensors) {
    const index = data.findIndex((value) => !Number.isFinite(value));
    if (index < 0) continue;
    throw new UserError(
      `${path}: ${name} is not finite (${data[index]} at [${positionOf(index, shape).join(', ')}]): take parameters from before training diverged`,
    );
  }
}

/** The indices of a row-major element. */
function positionOf(index: number, shape: number[]): number[] {
  const position: number[] = [];
  for (const length of shape.toReversed()) {
    position.unshift(index % length);
    index = Math.floor(index / length);
  }
  return position;
}

/** A file with holes may be longer than any memory. */
function memoryFor(path: string, name: string, bytes: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(bytes);
  } catch (error) {
    throw new UserError(
      `${path}: tensor ${name} of ${bytes} bytes does not fit into memory (${messageOf(error)})`,
      { cause: error },
    );
  }
}

/**
 * Describes the tensors of a file, of any types, in the order of their data, which is not read.
 *
 * @throws UserError naming the file and what is wrong with it
 */
export function describeSafetensors(path: string): Map<string, DescribedTensor> {
  const descriptor = openToRead(path);
  try {
    const { entries } = readHeader(descriptor, path);
    return new Map(entries.map(({ name, dtype, shape }) => [name, { dtype, shape }]));
  } finally {
    closeSync(descriptor);
  }
}

/** @returns `start`: the position of the data in the file */
function readHeader(descriptor: number, path: string): { entries: HeaderEntry[]; start: number } {
  const size = fstatSync(descriptor).size;
  const lengthBytes = readAt(descriptor, path, 0, new Uint8Array(Math.min(8, size)));
  const headerLength = headerLengthIn(lengthBytes, size, path);
  const json = readAt(descriptor, path, 8, new Uint8Array(headerLength));
  const start = 8 + headerLength;
  return { entries: parseHeader(json, size - start, path), start };
}

function headerLengthIn(lengthBytes: Uint8Array, fileSize: number, path: string): number {
  if (lengthBytes.length < 8) {
    throw invalid(path, `${fileSize} bytes are too few for a header`);
  }
  if (ZIP.every((byte, index) => lengthBytes[index] === byte)) {
    throw invalid(
      path,
      'it was written by torch.save; write it with safetensors.torch.save_file(model.state_dict(), FILE)',
    );
  }
  const length = new DataView(lengthBytes.buffer).getBigUint64(0, true);
  if (length > BigInt(fileSize - 8)) {
    throw invalid(path, `its header of ${length} bytes reaches past the file's ${fileSize} bytes`);
  }
  if (length > BigInt(LONGEST_HEADER)) {
    throw invalid(path, `its header of ${length} bytes is over the limit of ${LONGEST_HEADER}`);
  }
  return Number(length);
}

/** The header's tensors in the order of their data; checks that they cover the data exactly. */
function parseHeader(json: Uint8Array, dataSize: number, path: string): HeaderEntry[] {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(json);
    header = JSON.parse(text);
  } catch (error) {
    throw invalid(path, `its header is not JSON (${messageOf(error)})`);
  }
  if (!isRecord(header)) throw invalid(path, 'its header is not a JSON object');

  const entries: HeaderEntry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') checkMetadata(value, path);
    else entries.push(parseEntry(name, value, path));
  }
  // JSON.parse keeps the last of two members with one name. Inside a string these quotes would be escaped.
  const described = text.match(/"data_offsets"/g)?.length ?? 0;
  if (described !== entries.length) throw invalid(path, 'a tensor is there twice');
  // An empty tensor begins where the next one does.
  entries.sort((one, other) => one.begin - other.begin || one.end - other.end);

  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (end > dataSize) {
      throw invalid(path, `tensor ${name} ends at byte ${end} of ${dataSize} bytes of data`);
    }
    if (begin < covered) throw invalid(path, `tensor ${name} overlaps the tensor before it`);
    if (begin > covered) {
      throw invalid(path, `there is a hole of ${begin - covered} bytes before tensor ${name}`);
    }
    covered = end;
  }
  if (covered < dataSize) {
    throw invalid(path, `the last ${dataSize - covered} bytes belong to no tensor`);
  }
  return entries;
}

function checkMetadata(value: unknown, path: string): void {
  if (!isRecord(value) || Object.values(value).some((text) => typeof text !== 'string')) {
    throw invalid(path, '__metadata__ is not an object of strings');
  }
}

function parseEntry(name: string, value: unknown, path: string): HeaderEntry {
  if (name === '__proto__') throw invalid(path, 'a tensor may not be named __proto__');
  if (!isRecord(value)) throw invalid(path, `tensor ${name} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string') throw invalid(path, `tensor ${name} has no valid dtype`);
  if (!isCounts(shape)) throw invalid(path, `tensor ${name} has no valid shape`);
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw invalid(path, `tensor ${name} has no valid data_offsets`);
  }
  const [begin, end] = offsets as [number, number];
  const elementBytes = Object.hasOwn(TYPE_BYTES, dtype) ? TYPE_BYTES[dtype] : undefined;
  const bytes = elementBytes === undefined ? end - begin : sizeOf(shape) * elementBytes;
  if (bytes < 0 || end - begin !== bytes) {
    throw invalid(
      path,
      `tensor ${name} [${shape.join(', ')}] needs ${bytes} bytes, its offsets give ${end - begin}`,
    );
  }
  return { name, dtype, shape, begin, end };
}

function openToRead(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
}

function readAt(descriptor: number, path: string, position: number, into: Uint8Array): Uint8Array {
  for (let done = 0; done < into.length;) {
    const length = Math.min(into.length - done, 2 ** 30);
    const count = readSync(descriptor, into, done, length, position + done);
    if (count === 0) throw invalid(path, 'it became shorter while it was read');
    done += count;
  }
  return into;
}

function invalid(path: string, problem: string): UserError {
  return new UserError(`${path} is not a valid safetensors file: ${problem}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.every((count) => Number.isSafeInteger(count) && Number(count) >= 0)
  );
}

function sizeOf(shape: number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** The same memory. TensorFlow and Node share only little-endian hosts. */
function bytesOf(data: Float32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
