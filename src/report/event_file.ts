/**
 * TensorBoard's event files. Each event is a protocol buffer with its wall time and step, in TensorFlow's
 * record format: length, checksum, bytes, checksum.
 *
 * The field numbers are those of TensorFlow's event.proto, summary.proto and histogram.proto. Histograms and
 * images have TensorBoard's first format, as PyTorch writes it, because every version reads that.
 */
import { closeSync, openSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { makeFolder } from '../durable_file.js';
import { writeWhole } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';
import type { Histogram } from './histogram.js';

const SCHEMA = `
  syntax = "proto3";
  message HistogramProto {
    double min = 1; double max = 2; double num = 3; double sum = 4; double sum_squares = 5;
    repeated double bucket_limit = 6; repeated double bucket = 7;
  }
  message Image { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded_image_string = 4; }
  message Value {
    string tag = 1;
    oneof value { float simple_value = 2; Image image = 4; HistogramProto histo = 5; }
  }
  message Summary { repeated Value value = 1; }
  message SessionLog { int32 status = 1; }
  message Event {
    double wall_time = 1; int64 step = 2;
    oneof what { string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
  }
`;

/** SessionLog.SessionStatus: readers drop what earlier files have from this event's step on. */
const START = 1;
/** Image.colorspace. */
const RGB = 3;

const Event = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType('Event');

/** A PNG and its size in pixels. */
export interface EncodedImage {
  width: number;
  height: number;
  png: Uint8Array;
}

export class EventFile {
  private constructor(
    readonly path: string,
    private readonly descriptor: number,
  ) {}

  /**
   * Creates a file in `folder`, and the folder if it does not exist.
   *
   * @param firstStep first step of a resumed run: readers drop what earlier files have from there on
   * @throws UserError naming what cannot be written
   */
  static create(folder: string, firstStep?: number): EventFile {
    makeFolder(folder);
    const seconds = String(Math.floor(Date.now() / 1000)).padStart(10, '0');
    for (let number = 0; ; number++) {
      // Readers sort a folder's files by name, so the name begins with the time.
      const name = `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${number}`;
      const path = join(folder, name);
      try {
        const file = new EventFile(path, openSync(path, 'ax'));
        file.write({ file_version: 'brain.Event:2' }, 0);
        if (firstStep !== undefined) file.write({ session_log: { status: START } }, firstStep);
        return file;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
        throw new UserError(`cannot write ${path}: ${messageOf(error)}`, { cause: error });
      }
    }
  }

  /** @param values by tag */
  scalars(step: number, values: Record<string, number>): void {
    const entries = Object.entries(values);
    const value = entries.map(([tag, simple_value]) => ({ tag, simple_value }));
    this.write({ summary: { value } }, step);
  }

  /** @param histograms by tag */
  histograms(step: number, histograms: Map<string, Histogram>): void {
    const value = [...histograms].map(
      ([tag, { count, sumOfSquares, limits, counts, ...rest }]) => ({
        tag,
        histo: {
          ...rest,
          num: count,
          sum_squares: sumOfSquares,
          bucket_limit: limits,
          bucket: counts,
        },
      }),
    );
    this.write({ summary: { value } }, step);
  }

  image(step: number, tag: string, { width, height, png }: EncodedImage): void {
    const image = { width, height, colorspace: RGB, encoded_image_string: png };
    this.write({ summary: { value: [{ tag, image }] } }, step);
  }

  close(): void {
    closeSync(this.descriptor);
  }

  /** Writes a record in one piece, so that a kill can cut off only the last one. */
  private write(content: object, step: number): void {
    const event = { wall_time: Date.now() / 1000, step, ...content };
    const record = framed(Event.encode(Event.fromObject(event)).finish());
    try {
      writeWhole(this.descriptor, record);
    } catch (error) {
      throw new UserError(`cannot write ${this.path}: ${messageOf(error)}`, { cause: error });
    }
  }
}

/** A record: length (uint64), checksum of the length, bytes, checksum of the bytes; all little-endian. */
export function framed(bytes: Uint8Array): Uint8Array {
  const record = new Uint8Array(bytes.length + 16);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(bytes.length), true);
  view.setUint32(8, maskedChecksum(record.subarray(0, 8)), true);
  record.set(bytes, 12);
  view.setUint32(bytes.length + 12, maskedChecksum(bytes), true);
  return record;
}

/** The format's masked checksum: rotated by 15 bits plus a constant, so that checksums within the bytes do no harm. */
function maskedChecksum(bytes: Uint8Array): number {
  const checksum = crc32c(bytes);
  return (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0;
}

/** Castagnoli's polynomial, bits reversed. */
const POLYNOMIAL = 0x82f63b78;

/** The CRC of each byte value. */
const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) {
    remainder = remainder & 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1;
  }
  return remainder;
});

/** CRC-32C (RFC 3720, appendix B.4), unsigned. */
export function crc32c(bytes: Uint8Array): number {
  let checksum = 0xffffffff;
  for (const byte of bytes) checksum = REMAINDERS[(checksum ^ byte) & 0xff]! ^ (checksum >>> 8);
  return ~checksum >>> 0;
}
