/**
 * A prepared data set: the folder that `data prepare` writes, as a source of examples.
 *
 *     DIR/train-00000.shard … test-00000.shard …
 *     DIR/statistics.msgpack                mean image and colours of the training images
 *     DIR/prepared.json                     what the folder holds (`Manifest`)
 *     DIR/checksums.json                    of the two files above; written last
 *
 * The shards' indices lie in memory that all decoders share. Each decoder reads the JPEGs through a `ShardReader` of
 * its own.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { readSmallFile } from '../bounded_file.js';
import { verifySummedFiles } from '../checksums.js';
import { UserError, messageOf } from '../errors.js';
import type { Split } from './split.js';
import type { PackedSet } from './packed.js';
import { readShardIndex } from './shards.js';
import { type DatasetStatistics, STATISTICS, readStatistics } from './statistics.js';

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
  /** Hash of the source's files, labels and sizes, which the statistics have too. */
  dataset: string;
  /** Pixels: images are side × side. */
  side: number;
  /** Names, by label. */
  classes: string[];
  /** Number of examples of each shard. */
  train: number[];
  test: number[];
  /** Files that could not be decoded. */
  skipped: SkippedFile[];
}

export function shardFile(directory: string, split: Split, number: number): string {
  return path.join(directory, `${split}-${String(number).padStart(5, '0')}.shard`);
}

export function isPrepared(directory: string): boolean {
  return existsSync(path.join(directory, MANIFEST));
}

/** @throws UserError if it cannot be read or another version wrote it */
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
  train: PackedSet;
  test: PackedSet;
  statistics: DatasetStatistics;
}> {
  const { dataset, classes, train, test } = readManifest(directory);
  const statistics = readStatistics(path.join(directory, STATISTICS), dataset);
  // Last, because the checks above say more precisely what is wrong with a file.
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

function openShards(directory: string, split: Split, counts: number[], classes: number): PackedSet {
  // The files come first, so that memory is taken for what they hold, not for what the manifest claims.
  const indices = counts.map((examples, number) =>
    readShardIndex(shardFile(directory, split, number), examples, classes),
  );
  const count = counts.reduce((sum, examples) => sum + examples, 0);
  const shared = () => new SharedArrayBuffer(4 * count);
  const set: PackedSet = {
    kind: 'prepared',
    isMixed: true,
    count,
    shards: counts.map((_, number) => shardFile(directory, split, number)),
    firsts: new Uint32Array(counts.length + 1),
    starts: new Float64Array(new SharedArrayBuffer(8 * count)),
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
