/** Finds the files in a tar without unpacking it: where the bytes of each one lie. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { UserError, messageOf } from '../errors.js';
import type { Breather } from './abortable.js';

/** Headers and contents begin at multiples of this, bytes. */
const BLOCK = 512;
/** Types of entries (the header's byte 156). */
const FILE = ['0', '\0', '7'];
const GNU_LONG_NAME = 'L';
const PAX_HEADER = 'x';

export interface TarFile {
  /** Path in the tar. */
  name: string;
  /** Where its bytes begin in the outer file, and how many there are. */
  start: number;
  length: number;
}

/** An open tar. A tar in a tar is read in place. */
export class Tar {
  private constructor(
    readonly file: string,
    private readonly descriptor: number,
    private readonly size: number,
  ) {}

  /** @throws UserError if it cannot be opened */
  static open(file: string): Tar {
    try {
      const descriptor = openSync(file, 'r');
      return new Tar(file, descriptor, fstatSync(descriptor).size);
    } catch (error) {
      throw new UserError(`cannot read ${file}: ${messageOf(error)}`);
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }

  /** @throws UserError if the tar ends before */
  read(start: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let filled = 0; filled < length;) {
      const count = readSync(this.descriptor, bytes, filled, length - filled, start + filled);
      if (count === 0) throw new UserError(`${this.file} is cut short: fetch it again`);
      filled += count;
    }
    return bytes;
  }

  /**
   * The regular files of the tar, or of a tar in it.
   * @throws UserError if it is cut short or no tar
   */
  async *files(breather: Breather, within?: TarFile): AsyncGenerator<TarFile, void, void> {
    let at = within?.start ?? 0;
    const end = within === undefined ? this.size : at + within.length;
    let nextName: string | undefined;
    while (at < end) {
      await breather.breathe();
      if (at + BLOCK > end) throw this.tooShort(at);
      const header = this.read(at, BLOCK);
      // Two empty blocks end a tar.
      if (header.every((byte) => byte === 0)) return;
      this.verify(header);
      const length = sizeIn(header);
      const start = at + BLOCK;
      if (start + length > end) throw this.tooShort(at);
      const type = String.fromCharCode(header[156]!);
      if (type === GNU_LONG_NAME) nextName = textOf(this.read(start, length));
      else if (type === PAX_HEADER) nextName = paxPath(this.read(start, length)) ?? nextName;
      else {
        if (FILE.includes(type)) yield { name: nextName ?? nameIn(header), start, length };
        nextName = undefined;
      }
      at = start + Math.ceil(length / BLOCK) * BLOCK;
    }
  }

  private tooShort(at: number): UserError {
    if (at === 0) return this.noTar();
    return new UserError(`${this.file} is cut short: fetch it again`);
  }

  private noTar(): UserError {
    const start = this.read(0, Math.min(2, this.size));
    const isGzip = start[0] === 0x1f && start[1] === 0x8b;
    return new UserError(
      `${this.file} is ${isGzip ? 'compressed: decompress it with gunzip' : 'no tar, or damaged: fetch it again'}`,
    );
  }

  private verify(header: Buffer): void {
    const sum = header.reduce(
      (total, byte, index) => total + (index >= 148 && index < 156 ? 32 : byte),
      0,
    );
    const stored = parseInt(header.toString('latin1', 148, 156), 8);
    if (sum !== stored) throw this.noTar();
  }
}

function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

function nameIn(header: Buffer): string {
  const name = textOf(header.subarray(0, 100));
  const isUstar = header.toString('latin1', 257, 262) === 'ustar';
  const prefix = isUstar ? textOf(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** Octal digits, or for more than 8 GB a binary number whose first bit is set. */
function sizeIn(header: Buffer): number {
  if ((header[124]! & 0x80) === 0) return parseInt(header.toString('latin1', 124, 136), 8) || 0;
  return header.subarray(128, 136).reduce((total, byte) => total * 256 + byte, 0);
}

/** Records `LENGTH KEY=VALUE\n`. */
function paxPath(bytes: Buffer): string | undefined {
  return /(?:^|\n)\d+ path=([^\n]*)\n/.exec(bytes.toString('utf8'))?.[1];
}
