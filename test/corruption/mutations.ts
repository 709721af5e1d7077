/**
 * Damage to files, drawn from a seed: what a disk, a cut-off copy or a careless move does to them. Shared
 * by the tests that every file is refused by its name, whatever has become of it.
 */
import assert from 'node:assert/strict';
import { RandomSequence, deriveKey } from '../../src/random.js';
import { UserError } from '../../src/errors.js';

export interface Mutation {
  /** What was done, for the message of a test that fails. */
  name: string;
  bytes: Buffer;
}

/** Mutations that each kind of file has to withstand. */
export const MUTATIONS = 500;
/** Printed by the tests, so that a failure can be drawn again. */
export const SEED = 1931;

const KINDS: Record<string, (random: RandomSequence, bytes: Buffer, other: Buffer) => Buffer> = {
  'one bit flipped': (random, bytes) => flipBits(random, bytes, 1),
  'bits flipped': (random, bytes) => flipBits(random, bytes, 2 + random.below(30)),
  'cut off': (random, bytes) => bytes.subarray(0, random.below(bytes.length)),
  grown: (random, bytes) => Buffer.concat([bytes, bytesOf(random, 1 + random.below(5000))]),
  'a block of zeros': (random, bytes) => {
    const start = random.below(bytes.length);
    return Buffer.from(bytes).fill(0, start, Math.min(start + 1 + random.below(512), bytes.length));
  },
  'a piece written twice': (random, bytes) => {
    const start = random.below(bytes.length);
    const end = start + 1 + random.below(256);
    return Buffer.concat([bytes.subarray(0, end), bytes.subarray(start)]);
  },
  'another file in its place': (_, __, other) => other,
};

/**
 * @param other what takes the file's place where files are swapped
 * @returns `count` mutations of `original`, none of them equal to it
 */
export function* mutationsOf(
  original: Buffer,
  other: Buffer,
  count = MUTATIONS,
  seed = SEED,
): Generator<Mutation> {
  const kinds = Object.entries(KINDS);
  for (let index = 0, drawn = 0; drawn < count; index++) {
    const random = new RandomSequence(deriveKey(seed, 'mutation', index));
    const [name, mutate] = kinds[random.below(kinds.length)]!;
    const bytes = mutate(random, original, other);
    if (bytes.equals(original)) continue;
    drawn++;
    yield { name: `mutation ${index} of seed ${seed}, ${name}`, bytes };
  }
}

function flipBits(random: RandomSequence, bytes: Buffer, count: number): Buffer {
  const damaged = Buffer.from(bytes);
  for (let flip = 0; flip < count; flip++) {
    const position = random.below(bytes.length);
    damaged[position] = damaged[position]! ^ (1 << random.below(8));
  }
  return damaged;
}

function bytesOf(random: RandomSequence, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, () => random.below(256)));
}

/**
 * What `read` is refused with: a UserError of one line. Anything else it throws fails the test.
 *
 * @returns undefined where it is not refused
 */
export function refusalOf(read: () => unknown, what: string): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return messageOfRefusal(error, what);
  }
}

/** The same of a promise. */
export async function rejectionOf(
  promise: Promise<unknown>,
  what: string,
): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return messageOfRefusal(error, what);
  }
}

export function messageOfRefusal(error: unknown, what: string): string {
  assert.ok(error instanceof UserError, `${what}: ${String((error as Error).stack ?? error)}`);
  assert.doesNotMatch(error.message, /\n/, what);
  return error.message;
}
