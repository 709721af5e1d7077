/**
 * Reads the ILSVRC devkit's `meta.mat`, which alone says which class each number of the validation labels means.
 *
 * It is a MATLAB 5 MAT-file ("MAT-File Format", The MathWorks): elements of a tag (type, bytes) and data, padded to
 * 8 bytes. Its one variable is a struct array, compressed by zlib. Numbers, texts and structs are read; a value of
 * another kind is null.
 */
import { inflateSync } from 'node:zlib';

/** What a field may hold: numbers (column by column), text, or the fields of a struct array's elements. */
export type MatlabValue = number[] | string | Record<string, MatlabValue>[] | null;

const COMPRESSED = 15;
const MATRIX = 14;
const STRUCT_CLASS = 2;
const CHAR_CLASS = 4;
const FIRST_NUMERIC_CLASS = 6;
const HEADER_BYTES = 128;

const READERS: Record<number, [bytes: number, read: (from: Buffer, at: number) => number]> = {
  1: [1, (from, at) => from.readInt8(at)],
  2: [1, (from, at) => from.readUInt8(at)],
  3: [2, (from, at) => from.readInt16LE(at)],
  4: [2, (from, at) => from.readUInt16LE(at)],
  5: [4, (from, at) => from.readInt32LE(at)],
  6: [4, (from, at) => from.readUInt32LE(at)],
  7: [4, (from, at) => from.readFloatLE(at)],
  9: [8, (from, at) => from.readDoubleLE(at)],
};

interface Element {
  type: number;
  data: Buffer;
}

/** Goes through elements that follow one another. */
class Elements {
  private at = 0;

  constructor(private readonly bytes: Buffer) {}

  get ended(): boolean {
    return this.at >= this.bytes.length;
  }

  next(): Element {
    const { bytes, at } = this;
    const word = bytes.readUInt32LE(at);
    // Up to four bytes may stand in the tag itself, their number in its upper half.
    if (word >>> 16 !== 0) {
      this.at += 8;
      return { type: word & 0xffff, data: bytes.subarray(at + 4, at + 4 + (word >>> 16)) };
    }
    const length = bytes.readUInt32LE(at + 4);
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (data.length !== length) throw new Error('the file is cut short');
    this.at += 8 + (word === COMPRESSED ? length : Math.ceil(length / 8) * 8);
    return { type: word, data };
  }
}

/**
 * The variables of a little-endian MAT-file, by name.
 * @throws Error for a file that is cut short or of another format
 */
export function readMatFile(file: Buffer): Map<string, MatlabValue> {
  if (file.toString('latin1', 126, 128) !== 'IM') throw new Error('no MATLAB 5 MAT-file');
  const variables = new Map<string, MatlabValue>();
  const elements = new Elements(file.subarray(HEADER_BYTES));
  while (!elements.ended) {
    const { type, data } = elements.next();
    const { name, value } = readMatrix(
      type === COMPRESSED ? new Elements(inflateSync(data)).next() : { type, data },
    );
    variables.set(name, value);
  }
  return variables;
}

function readMatrix({ type, data }: Element): { name: string; value: MatlabValue } {
  if (type !== MATRIX) throw new Error(`an element of type ${type} where a matrix was expected`);
  if (data.length === 0) return { name: '', value: [] };
  const parts = new Elements(data);
  const kind = parts.next().data.readUInt8(0);
  const count = numbersIn(parts.next()).reduce((product, extent) => product * extent, 1);
  const name = parts.next().data.toString('latin1');
  if (kind === STRUCT_CLASS) return { name, value: readStructs(parts, count) };
  if (kind === CHAR_CLASS) return { name, value: textIn(parts.next()) };
  return { name, value: kind >= FIRST_NUMERIC_CLASS ? numbersIn(parts.next()) : null };
}

function readStructs(parts: Elements, count: number): Record<string, MatlabValue>[] {
  const nameBytes = numbersIn(parts.next())[0]!;
  const names = parts.next().data.toString('latin1');
  const fields = Array.from({ length: names.length / nameBytes }, (_, field) =>
    names.slice(field * nameBytes, (field + 1) * nameBytes).replace(/\0.*$/s, ''),
  );
  return Array.from({ length: count }, () =>
    Object.fromEntries(fields.map((field) => [field, readMatrix(parts.next()).value])),
  );
}

function numbersIn({ type, data }: Element): number[] {
  const reader = READERS[type];
  if (reader === undefined) throw new Error(`numbers of an unknown type ${type}`);
  const [bytes, read] = reader;
  return Array.from({ length: data.length / bytes }, (_, at) => read(data, at * bytes));
}

/** UTF-8 (type 16), or code units. */
function textIn(element: Element): string {
  if (element.type === 16) return element.data.toString('utf8');
  return String.fromCharCode(...numbersIn(element));
}
