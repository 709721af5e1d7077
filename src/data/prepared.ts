/**
 * A prepared data set: the folder that `data prepare` writes, as a source of examples.
 *
 *     DIR/train-00000.shard … test-00000.shard …
 *     DIR/statistics.msgpack                mean image and colours of the training images
 *     DIR/prepared.json                     what the folder holds (`Manifest`)
 *     DIR/checksums.json                    of the two files above; written last
 *
 * Opened by the main thread, which reads the shards' indices into memory that all decoders share; a
 * decoder reads the JPEGs through a `ShardReader` of its own.
 */
import { closeSync, existsSync } from 'node:fs';
import path from 'node:path';
import { readSmallFile } from '../bounded_file.js';
import { verifySummedFiles } from '../checksums.js';
import { UserError, messageOf } from '../errors.js';
import { RandomSequence, deriveKey, permutation } from '../random.js';
import type { Split } from './split.js';
import { PREPARE_AGAIN, openShard, readFully, readShardIndex } from './shards.js';
import { type DatasetStatistics, STATISTICS, readStatistics } from './statistics.js';
import type { Part } from './subset.js';

export const MANIFEST = 'prepared.json';
const FORMAT = 1;
/** Bytes: a hundred thousand skipped files with their reasons. */
const LONGEST_MANIFEST = 1 << 26;

/** A file that could not be decoded. */
export interface SkippedFile {
  /** Below the source's folder. */
  file: string;
  reason: string;
}

/** What a prepared folder holds. */
export interface Manifest {
  format: typeof FORMAT;
  /** Names the source's files, labels and sizes; the statistics have it too. */
  dataset: string;
  /** Pixels: images are side × side. */
  side: number;
  /** Names, by label. */
  classes: string[];
  /** Examples of each shard. */
  train: number[];
  test: number[];
  /** Files that could not be decoded. */
  skipped: SkippedFile[];
}

export interface PreparedSet extends Part {
  kind: 'prepared';
  count: number;
  shards: string[];
  /** uint32 [shards + 1]: a shard's first example, and at the end `count`. */
  firsts: Uint32Array;
  /** uint32 [count]: where in its shard an example's JPEG begins, and its bytes. */
  starts: Uint32Array;
  lengths: Uint32Array;
  /** int32 [count] */
  labels: Int32Array;
}

export function shardFile(directory: string, split: Split, number: number): string {
  return path.join(directory, `${split}-${String(number).padStart(5, '0')}.shard`);
}

export function isPrepared(directory: string): boolean {
  return existsSync(path.join(directory, MANIFEST));
}

/** @throws UserError where it cannot be read or another version wrote it */
export function readManifest(directory: string): Manifest {
  const file = path.join(directory, MANIFEST);
  let manifest: Manifest;
  try {
    manifest = JSON.parse(readSmallFile(file, LONGEST_MANIFEST).toString('utf8')) as Manifest;
  } catch (error) {
    throw new UserError(
      `${file} cannot be read (${messageOf(error)}): --data takes a folder that twotower data prepare has finished`,
    );
  }
  const { format, dataset, side, classes, train, test, skipped } = manifest ?? {};
  const lists = [classes, train, test, skipped];
  const isRight =
    format === FORMAT &&
    typeof dataset === 'string' &&
    Number.isSafeInteger(side) &&
    lists.every((list) => Array.isArray(list)) &&
    [...train, ...test].every((count) => Number.isSafeInteger(count) && count >= 0);
  if (isRight) return manifest;
  throw new UserError(
    `${file} is damaged or of another version: run twotower data prepare again into a new folder`,
  );
}

/** @throws UserError for a missing, damaged or cut shard, and for statistics of another data set */
export async function openPrepared(directory: string): Promise<{
  classes: string[];
  train: PreparedSet;
  test: PreparedSet;
  statistics: DatasetStatistics;
}> {
  const { dataset, classes, train, test } = readManifest(directory);
  const statistics = readStatistics(path.join(directory, STATISTICS), dataset);
  // After what says more of a file than that it is not the one that was written.
  verifySummedFiles(directory, [STATISTICS, MANIFEST]);
  // With glibc, sharp's library must be loaded here before the decoders' threads load it.
  await import('sharp');
  return {
    classes,
    train: openShards(directory, 'train', train, classes.length),
    test: openShards(directory, 'test', test, classes.length),
    statistics,
  };
}

function openShards(
  directory: string,
  split: Split,
  counts: number[],
  classes: number,
): PreparedSet {
  // The files first: memory for as many examples as they hold, whatever the manifest says.
  const indices = counts.map((examples, number) =>
    readShardIndex(shardFile(directory, split, number), examples, classes),
  );
  const count = counts.reduce((sum, examples) => sum + examples, 0);
  const shared = () => new SharedArrayBuffer(4 * count);
  const set: PreparedSet = {
    kind: 'prepared',
    count,
    shards: counts.map((_, number) => shardFile(directory, split, number)),
    firsts: new Uint32Array(counts.length + 1),
    starts: new Uint32Array(shared()),
    lengths: new Uint32Array(shared()),
    labels: new Int32Array(shared()),
  };
  counts.forEach((examples, number) => {
    const first = set.firsts[number]!;
    const index = indices[number]!;
    set.starts.set(index.starts, first);
    set.lengths.set(index.lengths, first);
    set.labels.set(index.labels, first);
    set.firsts[number + 1] = first + examples;
  });
  return set;
}

/** Shards that an epoch reads side by side: how far examples are mixed, against how many files are read at once. */
const SIDE_BY_SIDE = 8;

/**
 * An epoch's order of a prepared set: shards in random order, eight at a time, each read from its front
 * to its back, and at random which of the eight is next. What lies in a shard was drawn from all
 * examples when it was packed.
 *
 * @returns each index below `set.count` once
 */
export function sequentialOrder(
  seed: number,
  epoch: number,
  { count, shards, firsts }: PreparedSet,
): Uint32Array {
  const order = new Uint32Array(count);
  const waiting = [...permutation(deriveKey(seed, 'shards', epoch), shards.length)];
  const random = new RandomSequence(deriveKey(seed, 'order', epoch));
  const open: { next: number; end: number }[] = [];
  for (let at = 0; at < count; at++) {
    while (open.length < SIDE_BY_SIDE && waiting.length > 0) {
      const shard = waiting.shift()!;
      const [next, end] = [firsts[shard]!, firsts[shard + 1]!];
      if (next < end) open.push({ next, end });
    }
    const chosen = random.below(open.length);
    const shard = open[chosen]!;
    order[at] = shard.next++;
    if (shard.next === shard.end) open.splice(chosen, 1);
  }
  return order;
}

/** What messages call an example. */
export function nameInShards(set: PreparedSet, index: number): string {
  const shard = shardOf(set, index);
  return `image ${index - set.firsts[shard]!} of ${set.shards[shard]}`;
}

/** The last shard whose first example is not beyond `index`. */
function shardOf({ firsts }: PreparedSet, index: number): number {
  let [low, high] = [0, firsts.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (firsts[middle]! <= index) low = middle;
    else high = middle;
  }
  return low;
}

/** Reads a set's JPEGs; keeps the shards open that it has read from last. */
export class ShardReader {
  /** By number, the one that was read last at the end. */
  private readonly descriptors = new Map<number, number>();

  constructor(private readonly set: PreparedSet) {}

  /** @throws UserError where the shard was cut short since it was opened */
  read(index: number): Uint8Array {
    const shard = shardOf(this.set, index);
    const jpeg = new Uint8Array(this.set.lengths[index]!);
    if (readFully(this.descriptorOf(shard), jpeg, this.set.starts[index]!)) return jpeg;
    throw new UserError(`the shard ${this.set.shards[shard]} is cut short: ${PREPARE_AGAIN}`);
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
