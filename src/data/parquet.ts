/**
 * Images in Parquet files, as data sets are published today: a column of encoded images, `{bytes, path}` or the bytes
 * alone, and a column of labels. Row groups are read whole, and the ones read last are kept.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import * as zlib from 'node:zlib';
import {
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
  type SchemaElement,
  parquetMetadataAsync,
  parquetReadObjects,
} from 'hyparquet';
import { UserError, messageOf } from '../errors.js';
import { comparable } from './listing.js';
import { type Sharded, shardOf } from './packed.js';

/** Row groups that a decoder keeps: twice as many as an epoch reads side by side. */
const KEPT_GROUPS = 16;

export interface ParquetSet extends Sharded {
  kind: 'parquet';
  /** The column of images. */
  column: string;
  /** By row group, as `shards`: its first row in its file. */
  rows: Uint32Array;
}

/** Row groups before their labels are numbers. */
export interface LabelledRows {
  shards: string[];
  firsts: number[];
  rows: number[];
  labels: (string | number | null)[];
  column: string;
  /** Class names by number, if the file says. */
  names: string[] | null;
}

const { zstdDecompressSync: zstandard } = zlib as {
  zstdDecompressSync?: (from: Uint8Array) => Uint8Array;
};

/** hyparquet has Snappy; Node has the others, Zstandard since 22.15. */
const COMPRESSORS: Compressors = {
  GZIP: (bytes) => zlib.gunzipSync(bytes),
  BROTLI: (bytes) => zlib.brotliDecompressSync(bytes),
  ...(zstandard !== undefined && { ZSTD: zstandard }),
};

/** Slices of a file, read when they are asked for. */
function fileBuffer(file: string): AsyncBuffer {
  return {
    byteLength: statSync(file).size,
    slice: (start, end = statSync(file).size) => {
      const bytes = new Uint8Array(end - start);
      const descriptor = openSync(file, 'r');
      try {
        for (let filled = 0; filled < bytes.length;) {
          const count = readSync(descriptor, bytes, filled, bytes.length - filled, start + filled);
          if (count === 0) throw new Error('it is cut short');
          filled += count;
        }
      } finally {
        closeSync(descriptor);
      }
      return Promise.resolve(bytes.buffer);
    },
  };
}

/**
 * Reads the labels and the row groups of Parquet files.
 * @throws UserError for a file that is no Parquet or damaged, and for columns that are no images and labels
 */
export async function readParquetLabels(
  files: string[],
  signal?: AbortSignal,
): Promise<LabelledRows> {
  const read: LabelledRows = {
    shards: [],
    firsts: [],
    rows: [],
    labels: [],
    column: '',
    names: null,
  };
  for (const path of files) {
    signal?.throwIfAborted();
    try {
      const file = fileBuffer(path);
      const metadata = await parquetMetadataAsync(file);
      const { image, label } = columnsOf(metadata);
      if (read.column !== '' && read.column !== image) {
        throw new Error(
          `its images are in the column ${image}, those of other files in ${read.column}`,
        );
      }
      read.column = image;
      read.names ??= namesIn(metadata, label);
      let row = 0;
      for (const group of metadata.row_groups) {
        const rows = Number(group.num_rows);
        read.shards.push(path);
        read.firsts.push(read.labels.length);
        read.rows.push(row);
        const options = { file, metadata, columns: [label], compressors: COMPRESSORS };
        const range = { rowStart: row, rowEnd: row + rows };
        for (const found of await parquetReadObjects({ ...options, ...range })) {
          read.labels.push(labelOf(found[label]));
        }
        row += rows;
      }
    } catch (error) {
      throw new UserError(`${path} cannot be read (${messageOf(error)}): fetch it again`);
    }
  }
  return read;
}

function labelOf(value: unknown): string | number | null {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'string') return comparable(value);
  return typeof value === 'number' ? value : null;
}

/** The columns at the top of the schema, and which of them are images and labels. */
function columnsOf({ schema }: FileMetaData): { image: string; label: string } {
  const columns = topColumns(schema);
  const named = (names: string[], fits: (element: SchemaElement) => boolean) =>
    names
      .map((name) => columns.find((column) => column.name === name && fits(column)))
      .find((found) => found) ?? columns.find(fits);
  const isImage = (column: SchemaElement) =>
    (column.num_children ?? 0) > 0
      ? ['image', 'img', 'picture'].includes(column.name)
      : column.type === 'BYTE_ARRAY' &&
        column.converted_type !== 'UTF8' &&
        column.logical_type?.type !== 'STRING';
  const image = named(['image', 'img', 'picture', 'jpg', 'png', 'bytes'], isImage);
  const isLabel = (column: SchemaElement) =>
    column !== image &&
    (column.num_children ?? 0) === 0 &&
    /^(fine_)?(label|labels|cls|class|category|target)(_name)?$/i.test(column.name);
  const label = named(['label', 'labels', 'fine_label', 'cls', 'class'], isLabel);
  if (image !== undefined && label !== undefined) return { image: image.name, label: label.name };
  const names = columns.map(({ name }) => name).join(', ');
  throw new Error(`its columns ${names} have no ${image === undefined ? 'image' : 'label'}`);
}

/** The children of the root, without their own children. */
function topColumns(schema: SchemaElement[]): SchemaElement[] {
  const columns: SchemaElement[] = [];
  const skip = (at: number): number => {
    let next = at + 1;
    for (let child = 0; child < (schema[at]!.num_children ?? 0); child++) next = skip(next);
    return next;
  };
  for (let at = 1; at < schema.length; at = skip(at)) columns.push(schema[at]!);
  return columns;
}

/** Hugging Face's metadata name the classes. */
function namesIn({ key_value_metadata: pairs }: FileMetaData, label: string): string[] | null {
  const text = pairs?.find(({ key }) => key === 'huggingface')?.value;
  if (text === undefined) return null;
  try {
    const { info } = JSON.parse(text) as {
      info?: { features?: Record<string, { names?: unknown }> };
    };
    const names = info?.features?.[label]?.names;
    return Array.isArray(names) ? names.map(String) : null;
  } catch {
    return null;
  }
}

/** @param labels int32, by example */
export function parquetSet(read: LabelledRows, labels: Int32Array): ParquetSet {
  const count = read.labels.length;
  return {
    kind: 'parquet',
    count,
    shards: read.shards,
    firsts: Uint32Array.from([...read.firsts, count]),
    rows: Uint32Array.from(read.rows),
    labels,
    isMixed: true,
    column: read.column,
  };
}

/** Reads the images of a set by row groups. */
export class ParquetReader {
  /** By row group, the one that was used last at the end. */
  private readonly groups = new Map<number, Promise<Uint8Array[]>>();
  private readonly metadata = new Map<string, Promise<FileMetaData>>();

  constructor(private readonly set: ParquetSet) {}

  /**
   * @param place index of the whole set
   * @throws UserError if the file cannot be read any more
   */
  async read(place: number, name: string): Promise<Uint8Array> {
    const group = shardOf(this.set, place);
    const known = this.groups.get(group);
    const images = known ?? this.readGroup(group);
    this.groups.delete(group);
    this.groups.set(group, images);
    if (this.groups.size > KEPT_GROUPS) this.groups.delete(this.groups.keys().next().value!);
    const bytes = (await images)[place - this.set.firsts[group]!];
    if (bytes !== undefined) return bytes;
    throw new UserError(`${name} has no bytes: fetch the file again`);
  }

  private async readGroup(group: number): Promise<Uint8Array[]> {
    const { shards, rows, firsts, column } = this.set;
    const path = shards[group]!;
    const [rowStart, count] = [rows[group]!, firsts[group + 1]! - firsts[group]!];
    try {
      const file = fileBuffer(path);
      const known = this.metadata.get(path) ?? parquetMetadataAsync(file);
      this.metadata.set(path, known);
      const found = await parquetReadObjects({
        file,
        metadata: await known,
        columns: [column],
        rowStart,
        rowEnd: rowStart + count,
        compressors: COMPRESSORS,
        utf8: false,
      });
      return found.map((row) => bytesOf(row[column]));
    } catch (error) {
      throw new UserError(`${path} cannot be read (${messageOf(error)}): fetch it again`);
    }
  }
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  const { bytes } = (value ?? {}) as { bytes?: unknown };
  return bytes instanceof Uint8Array ? bytes : new Uint8Array(0);
}
