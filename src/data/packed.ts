/** Examples that lie one after another in large files, of which an index in shared memory says where each one is. */
import { closeSync } from 'node:fs';
import { UserError } from '../errors.js';
import { RandomSequence, deriveKey, permutation } from '../random.js';
import type { Part } from './part.js';
import { PREPARE_AGAIN, openShard, readFully } from './shards.js';

export interface Sharded extends Part {
  /** Names of the files, or of their parts, that are read from front to back. */
  shards: string[];
  /** uint32 [shards + 1]: a shard's first example, and at the end the number of all. */
  firsts: Uint32Array;
  /** int32, by example */
  labels: Int32Array;
  /** Whether each shard has some of every class, so that an epoch may read shard by shard. */
  isMixed: boolean;
}

export interface PackedSet extends Sharded {
  kind: 'prepared' | 'tar';
  /** float64, by example: where in its shard its image begins, bytes */
  starts: Float64Array;
  /** uint32, by example: bytes of its image */
  lengths: Uint32Array;
}

/** Shards that an epoch reads side by side: how far examples are mixed, against how many files are read at once. */
const SIDE_BY_SIDE = 8;

/**
 * An epoch's order of a sharded set: shards in random order, eight at a time, each read from its front to its back, and
 * at random which of the eight is next. If the shards are not mixed, the order is wholly random.
 *
 * @returns each index below `set.count` once
 */
export function sequentialOrder(seed: number, epoch: number, set: Sharded): Uint32Array {
  if (!set.isMixed) return permutation(deriveKey(seed, 'order', epoch), set.count);
  const { firsts, chosen } = set;
  const places = firsts.at(-1)!;
  const order = new Uint32Array(places);
  const waiting = [...permutation(deriveKey(seed, 'shards', epoch), firsts.length - 1)];
  const random = new RandomSequence(deriveKey(seed, 'order', epoch));
  const open: { next: number; end: number }[] = [];
  for (let at = 0; at < places; at++) {
    while (open.length < SIDE_BY_SIDE && waiting.length > 0) {
      const shard = waiting.shift()!;
      const [next, end] = [firsts[shard]!, firsts[shard + 1]!];
      if (next < end) open.push({ next, end });
    }
    const turn = random.below(open.length);
    const shard = open[turn]!;
    order[at] = shard.next++;
    if (shard.next === shard.end) open.splice(turn, 1);
  }
  if (chosen === undefined) return order;
  const indices = new Int32Array(places).fill(-1);
  chosen.forEach((place, index) => (indices[place] = index));
  return order
    .map((place) => indices[place]! + 1)
    .filter((next) => next > 0)
    .map((next) => next - 1);
}

/** What messages call an example. @param place index of the whole set */
export function nameInShards(set: Sharded, place: number): string {
  const shard = shardOf(set, place);
  return `image ${place - set.firsts[shard]!} of ${set.shards[shard]}`;
}

/** The last shard whose first example is not beyond `index`. */
export function shardOf({ firsts }: Pick<Sharded, 'firsts'>, index: number): number {
  let [low, high] = [0, firsts.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (firsts[middle]! <= index) low = middle;
    else high = middle;
  }
  return low;
}

/** Reads the bytes of a set's images; keeps the shards open that it has read from last. */
export class ShardReader {
  /** By number, the one that was read last at the end. */
  private readonly descriptors = new Map<number, number>();

  constructor(private readonly set: PackedSet) {}

  /** @throws UserError if the shard was cut short since it was opened */
  read(index: number): Uint8Array {
    const shard = shardOf(this.set, index);
    const jpeg = new Uint8Array(this.set.lengths[index]!);
    if (readFully(this.descriptorOf(shard), jpeg, this.set.starts[index]!)) return jpeg;
    const file = this.set.shards[shard]!;
    const remedy = this.set.kind === 'tar' ? 'fetch it again' : PREPARE_AGAIN;
    throw new UserError(`the shard ${file} is cut short: ${remedy}`);
  }

  private descriptorOf(shard: number): number {
    const known = this.descriptors.get(shard);
    const descriptor = known ?? openShard(this.set.shards[shard]!);
    this.descriptors.delete(shard);
    this.descriptors.set(shard, descriptor);
    if (this.descriptors.size > 2 * SIDE_BY_SIDE) {
      const [oldest, unused] = this.descriptors.entries().next().value!;
      closeSync(unused);
      this.descriptors.delete(oldest);
    }
    return descriptor;
  }
}
