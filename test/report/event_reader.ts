/** Reads TensorBoard's event files: framing and checksums by their definition, fields by their numbers. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';

export interface ReadHistogram {
  min: number;
  max: number;
  num: number;
  sum: number;
  sumSquares: number;
  limits: number[];
  counts: number[];
}

export interface ReadEvent {
  wallTime: number;
  step: number;
  fileVersion?: string;
  /** SessionLog.status. */
  session?: number;
  scalars: Map<string, number>;
  histograms: Map<string, ReadHistogram>;
  images: Map<string, { width: number; height: number; png: Uint8Array }>;
}

/** Bit by bit, as the polynomial divides. */
export function checksumBitByBit(bytes: Uint8Array): number {
  let checksum = 0xffffffff;
  for (const byte of bytes) {
    checksum ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      checksum = checksum & 1 ? (checksum >>> 1) ^ 0x82f63b78 : checksum >>> 1;
    }
  }
  return ~checksum >>> 0;
}

function assertChecksum(bytes: Uint8Array, masked: number): void {
  const rotated = (masked - 0xa282ead8) >>> 0;
  assert.equal(((rotated >>> 17) | (rotated << 15)) >>> 0, checksumBitByBit(bytes));
}

/** The bytes of each record, their checksums checked. */
export function recordsOf(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at < file.length;) {
    const length = Number(view.getBigUint64(at, true));
    assertChecksum(file.subarray(at, at + 8), view.getUint32(at + 8, true));
    const record = file.subarray(at + 12, at + 12 + length);
    assertChecksum(record, view.getUint32(at + 12 + length, true));
    records.push(record);
    at += length + 16;
  }
  return records;
}

export function readEventFile(path: string): ReadEvent[] {
  return recordsOf(readFileSync(path)).map(readEvent);
}

type Fields = (number: number, reader: protobuf.Reader) => boolean;

/** Calls `field` for each field; it returns whether it has read it. */
function each(bytes: Uint8Array, field: Fields): void {
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (!field(tag >>> 3, reader)) reader.skipType(tag & 7);
  }
}

function readEvent(bytes: Uint8Array): ReadEvent {
  const event: ReadEvent = {
    wallTime: 0,
    step: 0,
    scalars: new Map(),
    histograms: new Map(),
    images: new Map(),
  };
  each(bytes, (number, reader) => {
    if (number === 1) event.wallTime = reader.double();
    else if (number === 2) event.step = Number(reader.int64());
    else if (number === 3) event.fileVersion = reader.string();
    else if (number === 5) {
      each(reader.bytes(), (inSummary, summary) => {
        if (inSummary === 1) readValue(summary.bytes(), event);
        return inSummary === 1;
      });
    } else if (number === 7) {
      each(reader.bytes(), (inSession, session) => {
        if (inSession === 1) event.session = session.int32();
        return inSession === 1;
      });
    } else return false;
    return true;
  });
  return event;
}

function readValue(bytes: Uint8Array, event: ReadEvent): void {
  let tag = '';
  each(bytes, (number, reader) => {
    if (number === 1) tag = reader.string();
    else if (number === 2) event.scalars.set(tag, reader.float());
    else if (number === 4) event.images.set(tag, readImage(reader.bytes()));
    else if (number === 5) event.histograms.set(tag, readHistogram(reader.bytes()));
    else return false;
    return true;
  });
}

function readImage(bytes: Uint8Array): { width: number; height: number; png: Uint8Array } {
  const image = { width: 0, height: 0, png: new Uint8Array(0) };
  each(bytes, (number, reader) => {
    if (number === 1) image.height = reader.int32();
    else if (number === 2) image.width = reader.int32();
    else if (number === 4) image.png = Uint8Array.from(reader.bytes());
    else return false;
    return true;
  });
  return image;
}

function readHistogram(bytes: Uint8Array): ReadHistogram {
  const histogram = { min: 0, max: 0, num: 0, sum: 0, sumSquares: 0 };
  const names = ['min', 'max', 'num', 'sum', 'sumSquares'] as const;
  const lists: Record<number, number[]> = { 6: [], 7: [] };
  each(bytes, (number, reader) => {
    const name = names[number - 1];
    if (name !== undefined) histogram[name] = reader.double();
    else {
      const packed = reader.bytes();
      const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
      for (let at = 0; at < packed.length; at += 8) lists[number]!.push(view.getFloat64(at, true));
    }
    return true;
  });
  return { ...histogram, limits: lists[6]!, counts: lists[7]! };
}
