/**
 * `metrics.jsonl` as a stream: appended to line by line, read in pieces, cut at a byte.
 *
 * Memory stays the same however long a run was: a million steps make a file that no string can hold.
 */
import {
  appendFileSync,
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { UserError, messageOf } from '../errors.js';
import type { RunFolder } from './layout.js';
import { eventOf } from './metrics.js';
import type { MetricsEvent } from './metrics.js';

/** Bytes read at a time. A line has some 400. */
const PIECE = 1 << 18;
const NEWLINE = 0x0a;

/** Appends to the file; for the process that holds the run's lock. */
export class MetricsLog {
  /** Length of the file. */
  private length: number;

  constructor(private readonly file: string) {
    this.length = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Length of the file in bytes: lines up to here belong to steps up to now. */
  get bytes(): number {
    return this.length;
  }

  /**
   * Appends one line in one write, so that a kill leaves whole lines except perhaps the last.
   *
   * @throws UserError if it cannot be written; the file is then as it was
   */
  append(event: MetricsEvent): void {
    const line = Buffer.from(`${JSON.stringify(event)}\n`);
    try {
      appendFileSync(this.file, line);
    } catch (error) {
      this.dropHalfLine();
      throw new UserError(`cannot write ${this.file}: ${messageOf(error)}`, { cause: error });
    }
    this.length += line.length;
  }

  /**
   * Drops what follows the first `bytes` bytes, and a last line that has no newline.
   *
   * @throws UserError if the file cannot be changed
   */
  cut(bytes: number): void {
    if (statSync(this.file, { throwIfNoEntry: false }) === undefined) return;
    try {
      const descriptor = openSync(this.file, 'r+');
      try {
        this.length = endOfLines(descriptor, Math.min(bytes, fstatSync(descriptor).size));
        ftruncateSync(descriptor, this.length);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      throw new UserError(`cannot cut ${this.file}: ${messageOf(error)}`, { cause: error });
    }
  }

  private dropHalfLine(): void {
    try {
      truncateSync(this.file, this.length);
    } catch {
      // The failed write is what is reported; the next cut drops the half line.
    }
  }
}

/** The end of the last whole line among the first `bytes` bytes. */
function endOfLines(descriptor: number, bytes: number): number {
  const piece = Buffer.alloc(PIECE);
  for (let end = bytes; end > 0;) {
    const start = Math.max(0, end - PIECE);
    const count = readSync(descriptor, piece, 0, end - start, start);
    const newline = piece.subarray(0, count).lastIndexOf(NEWLINE);
    if (newline >= 0) return start + newline + 1;
    end = start;
  }
  return 0;
}

/** Takes the events of a file that is read again and again. */
export interface MetricsVisitor {
  /** The file was cut back since the last reading: what was visited so far no longer counts. */
  restart(): void;
  visit(event: MetricsEvent): void;
}

/** Reads a file that grows; each call of `read` parses only what is new. */
export class MetricsReader {
  /** Bytes read, up to the end of a line, and how many lines they are. */
  private offset = 0;
  private lines = 0;
  /** The last line that was read, with its newline: it shows whether the file was cut back meanwhile. */
  private last = Buffer.alloc(0);

  constructor(private readonly file: string) {}

  /**
   * Visits the events that were appended since the last call. A last line without newline is left for later.
   *
   * @throws UserError naming the line that is malformed
   */
  read(visitor: MetricsVisitor): void {
    const descriptor = openIfThere(this.file);
    if (descriptor === undefined) return;
    try {
      if (!this.continues(descriptor)) {
        [this.offset, this.lines, this.last] = [0, 0, Buffer.alloc(0)];
        visitor.restart();
      }
      for (const line of linesIn(descriptor, this.file, this.offset, this.lines)) {
        visitor.visit(eventIn(line, this.file, this.lines + 1));
        this.offset += line.length;
        this.lines++;
        this.last = Buffer.from(line);
      }
    } finally {
      closeSync(descriptor);
    }
  }

  private continues(descriptor: number): boolean {
    const there = Buffer.alloc(this.last.length);
    const count = readSync(descriptor, there, 0, there.length, this.offset - there.length);
    return count === there.length && there.equals(this.last);
  }
}

/**
 * All events, in order; none if there is no file. A last line without newline is left out.
 *
 * @throws UserError naming the line that is malformed
 */
export function* metricsIn(file: string): Generator<MetricsEvent> {
  const descriptor = openIfThere(file);
  if (descriptor === undefined) return;
  try {
    let number = 0;
    for (const line of linesIn(descriptor, file, 0, 0)) yield eventIn(line, file, ++number);
  } finally {
    closeSync(descriptor);
  }
}

/** All events of a run at once: a million steps take a gigabyte. */
export function readMetrics({ metricsFile }: RunFolder): MetricsEvent[] {
  return [...metricsIn(metricsFile)];
}

/**
 * Whole lines with their newlines, from a byte on.
 *
 * @param before lines before that byte
 * @throws UserError naming a line that is longer than a piece
 */
function* linesIn(
  descriptor: number,
  file: string,
  offset: number,
  before: number,
): Generator<Buffer> {
  let number = before;
  for (;;) {
    const piece = Buffer.alloc(PIECE);
    const count = readSync(descriptor, piece, 0, PIECE, offset);
    let start = 0;
    for (let end: number; (end = piece.indexOf(NEWLINE, start) + 1) > 0; start = end) {
      number++;
      yield piece.subarray(start, end);
    }
    if (count < PIECE) return;
    if (start === 0)
      throw new UserError(`${file}, line ${number + 1}: it is not a line of metrics`);
    offset += start;
  }
}

function eventIn(line: Buffer, file: string, number: number): MetricsEvent {
  try {
    return eventOf(JSON.parse(line.toString('utf8')));
  } catch (error) {
    throw new UserError(`${file}, line ${number}: ${messageOf(error)}`);
  }
}

function openIfThere(file: string): number | undefined {
  try {
    return openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UserError(`cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}
