/**
 * `data prepare`: from any data set to a prepared one (prepared.ts).
 *
 * The work is divided into shards, each made by one thread. From the start, `unfinished.msgpack` says which shards are
 * whole and holds the sums of their pixels, so an interrupted run continues with the next shard. Memory: per thread a
 * shard's compressed images and a sum of pixels, besides the list of the source's files (file_list.ts).
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { pack, unpack } from 'msgpackr';
import { Piscina } from 'piscina';
import { writeSummedFiles } from '../checksums.js';
import { jsonBytes, makeFolder, writeDurably } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';
import { type FolderLock, isLockFile, lockFolder } from '../folder_lock.js';
import { deriveKey, permutation } from '../random.js';
import { usableCores } from '../usable_cores.js';
import type { Split } from './split.js';
import { Breather, unlessAborted } from './abortable.js';
import { openSource } from './dataset.js';
import { type ExampleSet, nameOfExample } from './examples.js';
import { dataAt } from './locate.js';
import { sequentialOrder } from './packed.js';
import { type PackTask, type PackedShard, SIDE } from './packing.js';
import {
  MANIFEST,
  type Manifest,
  type SkippedFile,
  isPrepared,
  openPrepared,
  readManifest,
  shardFile,
} from './prepared.js';
import {
  type PixelSums,
  STATISTICS,
  addSums,
  emptySums,
  statisticsBytes,
  statisticsOf,
} from './statistics.js';
import { labelOf } from './examples.js';

const UNFINISHED = 'unfinished.msgpack';
const SHA256_BYTES = 32;

/** What `prepareDataset` reads and writes. */
export interface PrepareOptions {
  /** Any data set that `data` of a recipe takes. */
  source: string;
  destination: string;
  /** Share of a split's files that may be undecodable. */
  undecodableLimit: number;
  /** Share of each class that is for training, 0 to 1, in a source without a test set. */
  split?: number | undefined;
  /** Images per shard (default 1024: about 50 MB of JPEGs). */
  imagesPerShard?: number;
  threads?: number;
  /** Called about ten times per second. */
  onProgress?: (images: number, of: number) => void;
  /** Aborted: the work stops at once and rejects with the signal's reason. Another call continues it. */
  signal?: AbortSignal | undefined;
}

/** What `prepareDataset` did. */
export interface PreparedDataset {
  /** What the folder holds. */
  manifest: Manifest;
  /** Whether all of it was there already. */
  wasThere: boolean;
  /** What was left out of the source or understood in one of several ways, a line each. */
  notices: string[];
}

/** What is finished so far: the content of `unfinished.msgpack`. */
interface Unfinished {
  dataset: string;
  imagesPerShard: number;
  /** Finished shards by number. */
  train: Record<number, FinishedShard>;
  test: Record<number, FinishedShard>;
  /** Of the finished training shards. */
  sums: PixelSums;
}

type FinishedShard = Omit<PackedShard, 'sums'>;

interface Job {
  split: Split;
  number: number;
  task: PackTask;
}

/**
 * Packs a data set into a folder of shards. What an interrupted call finished stays there for the next one.
 *
 * @throws UserError for a source that cannot be opened, a destination that holds something else, is damaged or is
 *   being prepared by another process, too many undecodable files, and a file that cannot be written; the signal's
 *   reason after an abort
 */
export async function prepareDataset(options: PrepareOptions): Promise<PreparedDataset> {
  const { destination, imagesPerShard = 1024, split, signal } = options;
  const source = path.resolve(options.source);
  const opened = openSource({ ...dataAt(source), split }, signal);
  const { classes, train, test, notices = [] } = await unlessAborted(opened, signal);
  const dataset = await fingerprint(source, classes, { train, test }, signal);
  if (isPrepared(destination) && !existsSync(path.join(destination, UNFINISHED))) {
    const manifest = readManifest(destination);
    if (manifest.dataset !== dataset) {
      throw new UserError(
        `${destination} was prepared from other images than ${options.source} has now: name a new folder`,
      );
    }
    await openPrepared(destination);
    return { manifest, wasThere: true, notices };
  }
  makeFolder(destination);
  const lock = lockFolder(destination, 'prepares');
  try {
    const begun = takeUp(destination, dataset, imagesPerShard);
    refuseTooManySkipped('train', begun, train.count, options.undecodableLimit);
    refuseTooManySkipped('test', begun, test.count, options.undecodableLimit);
    const jobs = [
      ...jobsOf('train', train, destination, imagesPerShard),
      ...jobsOf('test', test, destination, imagesPerShard),
    ];
    await packAll(jobs, begun, options, source, { train: train.count, test: test.count }, lock);
    const manifest = finish(destination, begun, classes, jobs);
    const takenOver = lock.takenOver === undefined ? [] : [lock.takenOver];
    return { manifest, wasThere: false, notices: [...takenOver, ...notices] };
  } finally {
    lock.release();
  }
}

/** Changes with every file's name, size and label, and with what is made of them. */
async function fingerprint(
  source: string,
  classes: string[],
  splits: { train: ExampleSet; test: ExampleSet },
  signal: AbortSignal | undefined,
): Promise<string> {
  const breather = new Breather(signal);
  const hash = createHash('sha256').update(JSON.stringify([SIDE, classes]));
  for (const set of [splits.train, splits.test]) {
    hash.update(`${set.count}\n`);
    if ('shards' in set) hash.update(JSON.stringify(set.shards.map((file) => statSync(file).size)));
    for (let index = 0; index < set.count; index++) {
      await breather.breathe();
      const name = nameOfExample(set, index);
      const bytes = set.kind === 'folder' ? statSync(name, { throwIfNoEntry: false })?.size : 0;
      const facts = [path.relative(source, name), bytes ?? 0, labelOf(set, index)];
      hash.update(JSON.stringify(facts));
    }
  }
  return hash.digest('hex');
}

/** What an interrupted call left, or a new beginning. */
function takeUp(destination: string, dataset: string, imagesPerShard: number): Unfinished {
  const file = path.join(destination, UNFINISHED);
  if (!existsSync(file)) {
    if (readdirSync(destination).some((name) => !isLockFile(name))) {
      throw new UserError(`${destination} is not empty: name a new folder`);
    }
    const sums = emptySums(SIDE, SIDE);
    const beginning = { dataset, imagesPerShard, train: {}, test: {}, sums };
    // Written before the first shard, so that a restart recognizes the folder as ours.
    writeUnfinished(file, beginning);
    return beginning;
  }
  let begun: Unfinished;
  try {
    begun = readUnfinished(file);
  } catch (error) {
    throw new UserError(
      `${file} cannot be read (${messageOf(error)}): remove ${destination} and start again`,
    );
  }
  if (begun.dataset !== dataset || begun.imagesPerShard !== imagesPerShard) {
    throw new UserError(
      `${destination} was started from other images than the source has now: name a new folder, or remove it`,
    );
  }
  // Left by a process that was killed while it wrote.
  for (const name of readdirSync(destination)) {
    if (name.includes('.partial-')) rmSync(path.join(destination, name));
  }
  return begun;
}

/**
 * Writes the SHA-256 of the rest, then msgpack. It is one file, because it is replaced after every shard: a kill
 * between it and a checksum file beside it would make it look damaged.
 */
function writeUnfinished(file: string, begun: Unfinished): void {
  const { buffer } = begun.sums.pixels;
  const packed = pack({ ...begun, sums: { ...begun.sums, pixels: new Uint8Array(buffer) } });
  writeDurably(file, [sha256(packed), packed]);
}

function readUnfinished(file: string): Unfinished {
  const bytes = readFileSync(file);
  const packed = bytes.subarray(SHA256_BYTES);
  if (!sha256(packed).equals(bytes.subarray(0, SHA256_BYTES))) {
    throw new Error('its SHA-256 is not that of what was written');
  }
  const read = unpack(packed) as Unfinished;
  // Copied, as a view of the file's bytes need not be aligned.
  const pixels = new Float64Array(Uint8Array.from(read.sums.pixels).buffer);
  return { ...read, sums: { ...read.sums, pixels } };
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** Shards are read from front to back; other images are packed in random order. */
function packingOrder(set: ExampleSet): Uint32Array {
  return 'firsts' in set
    ? sequentialOrder(0, 0, set)
    : permutation(deriveKey(0, 'pack'), set.count);
}

/** Each shard of training images has some of every class. */
function jobsOf(split: Split, set: ExampleSet, destination: string, imagesPerShard: number): Job[] {
  const order =
    split === 'train'
      ? packingOrder(set)
      : Uint32Array.from({ length: set.count }, (_, index) => index);
  return Array.from({ length: Math.ceil(set.count / imagesPerShard) }, (_, number) => {
    const task: PackTask = {
      shard: shardFile(destination, split, number),
      set,
      // A copy, as a view would take all of `order` with it to the thread.
      indices: order.slice(number * imagesPerShard, (number + 1) * imagesPerShard),
      withSums: split === 'train',
    };
    return { split, number, task };
  });
}

/** Packs the jobs that are not finished yet, one per thread at a time, and records each in `begun` and on disk. */
async function packAll(
  jobs: Job[],
  begun: Unfinished,
  options: PrepareOptions,
  source: string,
  counts: Record<Split, number>,
  lock: FolderLock,
): Promise<void> {
  const { destination, threads = usableCores(), onProgress, signal } = options;
  const images = counts.train + counts.test;
  const missing = jobs.filter(({ split, number }) => begun[split][number] === undefined);
  const counter = new Int32Array(new SharedArrayBuffer(4));
  counter[0] = images - missing.reduce((sum, { task }) => sum + task.indices.length, 0);
  const report = () => onProgress?.(Atomics.load(counter, 0), images);
  const clock = setInterval(report, 100);
  const pool = new Piscina<PackTask, PackedShard | string>({
    filename: new URL('../../workers/pack.js', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    workerData: counter.buffer,
  });
  try {
    let next = 0;
    let failed = false;
    const work = async (): Promise<void> => {
      while (next < missing.length && !failed) {
        const job = missing[next++]!;
        const packed = await unlessAborted(pool.run(job.task, { signal: signal ?? null }), signal);
        if (typeof packed === 'string') throw new UserError(packed);
        lock.check();
        record(job, packed, begun, source);
        refuseTooManySkipped(job.split, begun, counts[job.split], options.undecodableLimit);
        writeUnfinished(path.join(destination, UNFINISHED), begun);
      }
    };
    const workers = Array.from({ length: threads }, async () => {
      try {
        await work();
      } catch (error) {
        failed = true;
        // Piscina's own error for an aborted task comes first.
        signal?.throwIfAborted();
        throw error;
      }
    });
    // The other threads finish their shards. One that is ended while it writes would leave a part.
    for (const end of await Promise.allSettled(workers)) {
      if (end.status === 'rejected') throw end.reason;
    }
    report();
  } finally {
    clearInterval(clock);
    await pool.destroy();
  }
}

function record({ split, number }: Job, packed: PackedShard, begun: Unfinished, source: string) {
  const skipped = packed.skipped.map(({ file, reason }) => ({
    file: path.relative(source, file),
    reason,
  }));
  begun[split][number] = { count: packed.count, skipped };
  if (packed.sums !== null) addSums(begun.sums, packed.sums);
}

function refuseTooManySkipped(split: Split, begun: Unfinished, count: number, limit: number): void {
  const skipped = Object.values(begun[split]).flatMap((shard) => shard.skipped);
  if (skipped.length <= limit * count) return;
  throw new UserError(
    `${skipped.length} of ${count} ${split} images cannot be decoded, more than ${100 * limit} %: ${listed(skipped)}; raise --undecodable-limit to continue, or replace or remove them and start again in a new folder`,
  );
}

function listed(skipped: SkippedFile[]): string {
  const names = skipped.slice(0, 3).map(({ file, reason }) => `${file} (${reason})`);
  return skipped.length > 3 ? `${names.join(', ')} …` : names.join(', ');
}

function finish(destination: string, begun: Unfinished, classes: string[], jobs: Job[]): Manifest {
  const shards = (split: Split) =>
    jobs.filter((job) => job.split === split).map(({ number }) => begun[split][number]!);
  const manifest: Manifest = {
    format: 1,
    dataset: begun.dataset,
    side: SIDE,
    classes,
    train: shards('train').map(({ count }) => count),
    test: shards('test').map(({ count }) => count),
    skipped: [...shards('train'), ...shards('test')].flatMap(({ skipped }) => skipped),
  };
  if (begun.sums.images === 0) {
    throw new UserError(`no training image can be decoded: ${listed(manifest.skipped)}`);
  }
  const statistics = statisticsOf(begun.dataset, begun.sums);
  writeSummedFiles(destination, {
    [STATISTICS]: [statisticsBytes(statistics)],
    [MANIFEST]: [jsonBytes(manifest)],
  });
  rmSync(path.join(destination, UNFINISHED));
  return manifest;
}
