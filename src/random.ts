/**
 * Random numbers as a pure function of (key, position), so that every rank, worker and resumed run
 * draws the same ones wherever and whenever it asks.
 *
 * The generator is Threefry-2×32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011), checked against the authors' known-answer vectors. Keys are
 * derived by folding labels in, as `jax.random.fold_in` does.
 */

/** Two 32-bit words. */
export type Key = readonly [number, number];

const PARITY = 0x1bd11bda;

/** One block: the two words at `counter` (two words) under `key`, written to `out[0]` and `out[1]`. */
export function threefry(key: Key, counter0: number, counter1: number, out: Uint32Array): void {
  const k0 = key[0] | 0;
  const k1 = key[1] | 0;
  const k2 = PARITY ^ k0 ^ k1;
  let x0 = (counter0 + k0) | 0;
  let x1 = (counter1 + k1) | 0;

  // Rotations 13 15 26 6 and 17 29 16 24 alternate; after every fourth round a key word is added.
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
  x0 = (x0 + k1) | 0;
  x1 = (x1 + k2 + 1) | 0;

  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
  x0 = (x0 + k2) | 0;
  x1 = (x1 + k0 + 2) | 0;

  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
  x0 = (x0 + k0) | 0;
  x1 = (x1 + k1 + 3) | 0;

  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
  x0 = (x0 + k1) | 0;
  x1 = (x1 + k2 + 4) | 0;

  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;

  out[0] = x0 + k2;
  out[1] = x1 + k0 + 5;
}

/**
 * The key of one purpose: `deriveKey(seed, 'dropout', step, layer, rank)`. Numbers are taken modulo
 * 2³²; strings by their FNV-1a hash.
 */
export function deriveKey(seed: number, ...labels: (string | number)[]): Key {
  const block = new Uint32Array(2);
  let key: Key = [Math.floor(seed / 2 ** 32) >>> 0, seed >>> 0];
  for (const label of labels) {
    const kind = typeof label === 'string' ? 1 : 0;
    threefry(key, typeof label === 'string' ? hashOf(label) : label >>> 0, kind, block);
    key = [block[0]!, block[1]!];
  }
  return key;
}

function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Numbers drawn one after another from one key: for shuffles, crops, flips and drawing. */
export class RandomSequence {
  private readonly block = new Uint32Array(2);
  private position = 0;

  constructor(private readonly key: Key) {}

  /** A 32-bit unsigned integer. */
  word(): number {
    if (this.position % 2 === 0) {
      threefry(this.key, this.position / 2, 0, this.block);
    }
    return this.block[this.position++ % 2]!;
  }

  /** Uniform in [0, 1), 32 bits. */
  uniform(): number {
    return this.word() / 2 ** 32;
  }

  /** Uniform integer in [0, limit); limit up to 2³². */
  below(limit: number): number {
    return Math.floor(this.uniform() * limit);
  }
}

/** `0 … count − 1` in an order given by `key` (Fisher–Yates). */
export function permutation(key: Key, count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  const random = new RandomSequence(key);
  for (let last = count - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const kept = order[last]!;
    order[last] = order[other]!;
    order[other] = kept;
  }
  return order;
}

/**
 * Elements `start … start + out.length − 1` of the key's sequence of uniform numbers in [low, high).
 * Element i is word i % 2 of block i / 2.
 */
export function fillUniform(
  key: Key,
  start: number,
  low: number,
  high: number,
  out: Float32Array,
): void {
  const block = new Uint32Array(2);
  const scale = (high - low) / 2 ** 32;
  for (let index = 0; index < out.length; index++) {
    const position = start + index;
    const word = position % 2;
    if (word === 0 || index === 0) threefry(key, (position - word) / 2, 0, block);
    out[index] = low + block[word]! * scale;
  }
}

/**
 * Elements `start … start + out.length − 1` of the key's sequence of N(0, deviation²) numbers
 * (Box–Muller: each block gives two).
 */
export function fillNormal(key: Key, start: number, deviation: number, out: Float32Array): void {
  const block = new Uint32Array(2);
  let radius = 0;
  let angle = 0;
  for (let index = 0; index < out.length; index++) {
    const position = start + index;
    const word = position % 2;
    if (word === 0 || index === 0) {
      threefry(key, (position - word) / 2, 0, block);
      // The half keeps the logarithm finite.
      radius = deviation * Math.sqrt(-2 * Math.log((block[0]! + 0.5) / 2 ** 32));
      angle = (2 * Math.PI * block[1]!) / 2 ** 32;
    }
    out[index] = radius * (word === 0 ? Math.cos(angle) : Math.sin(angle));
  }
}

/**
 * A dropout mask: 0 with probability `rate`, else 1/(1 − rate), in the same order as `out`. Each
 * element takes 16 bits, so the rate is honoured to 1/65536.
 */
export function fillDropoutMask(key: Key, rate: number, out: Float32Array): void {
  const block = new Uint32Array(2);
  const threshold = Math.round(rate * 65536);
  const kept = 1 / (1 - rate);
  for (let index = 0; index < out.length; index += 4) {
    threefry(key, index / 4, 0, block);
    const word0 = block[0]!;
    const word1 = block[1]!;
    out[index] = (word0 & 0xffff) < threshold ? 0 : kept;
    out[index + 1] = word0 >>> 16 < threshold ? 0 : kept;
    out[index + 2] = (word1 & 0xffff) < threshold ? 0 : kept;
    out[index + 3] = word1 >>> 16 < threshold ? 0 : kept;
  }
}
