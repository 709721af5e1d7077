/**
 * What each decoder thread is doing, in memory that the main thread reads while it waits for a batch.
 *
 * A decoder that hangs in a file system cannot answer messages. These words are how the main thread can still
 * say which decoder hangs and at which image.
 */
import type { Split } from './split.js';

/** Int32 words at the start: how many threads have taken a row. */
const HEADER = 1;
/** Int32 words per decoder: see the constants below. */
const ROW = 3;
/** 0: idle; 1: decodes a training image; 2: decodes a test image. */
const STATE = 0;
/** The example's index in its split. */
const INDEX = 1;
/** How many examples this decoder has begun. */
const BEGUN = 2;

/** A decoder that works on an example. */
export interface BusyDecoder {
  decoder: number;
  split: Split;
  index: number;
  /** How many examples it has begun: the same number twice is the same example. */
  begun: number;
}

export function allocateDecoderActivity(decoders: number): SharedArrayBuffer {
  return new SharedArrayBuffer((HEADER + ROW * decoders) * Int32Array.BYTES_PER_ELEMENT);
}

/** The writing end, one per decoder thread. */
export class DecoderActivity {
  /** Number of this decoder, from 0. */
  readonly decoder: number;

  private readonly words: Int32Array;
  private readonly row: number;

  /** Takes the next row. A thread that replaces one that ended takes the first row again. */
  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory);
    const decoders = (this.words.length - HEADER) / ROW;
    this.decoder = Atomics.add(this.words, 0, 1) % decoders;
    this.row = HEADER + ROW * this.decoder;
  }

  begin(split: Split, index: number): void {
    Atomics.store(this.words, this.row + INDEX, index);
    Atomics.add(this.words, this.row + BEGUN, 1);
    Atomics.store(this.words, this.row + STATE, split === 'train' ? 1 : 2);
  }

  end(): void {
    Atomics.store(this.words, this.row + STATE, 0);
  }
}

export function busyDecoders(memory: SharedArrayBuffer): BusyDecoder[] {
  const words = new Int32Array(memory);
  const busy: BusyDecoder[] = [];
  for (let row = HEADER; row < words.length; row += ROW) {
    const state = Atomics.load(words, row + STATE);
    if (state === 0) continue;
    busy.push({
      decoder: (row - HEADER) / ROW,
      split: state === 1 ? 'train' : 'test',
      index: Atomics.load(words, row + INDEX),
      begun: Atomics.load(words, row + BEGUN),
    });
  }
  return busy;
}
