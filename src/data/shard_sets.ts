/**
 * Data sets in shards: tars (WebDataset, ImageNet's original archives) and Parquet files. Which split a file belongs to
 * is in its name or its folder's: `train-0000.tar`, `data/validation-00000-of-00014.parquet`, `ILSVRC2012_img_val.tar`.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { UserError } from '../errors.js';
import type { ExampleSet } from './examples.js';
import { classNames, labelsFromFiles } from './imagenet.js';
import { linesOf } from './label_list.js';
import { LeftOut } from './listing.js';
import { parquetSet, readParquetLabels } from './parquet.js';
import { readTars, tarSet } from './tar_shards.js';

type ShardSplit = 'train' | 'validation' | 'test';

export interface ShardFiles {
  format: 'tar' | 'parquet';
  files: Record<ShardSplit, string[]>;
}

/** What a set of shards holds. */
export interface OpenShards {
  classes: string[];
  train: ExampleSet;
  validation?: ExampleSet;
  test?: ExampleSet;
  notices: string[];
}

const SPLITS: [ShardSplit, RegExp][] = [
  ['train', /(^|[^a-z])train(ing)?([^a-z]|$)/i],
  ['validation', /(^|[^a-z])(val|valid|validation|dev)([^a-z]|$)/i],
  ['test', /(^|[^a-z])test(ing)?([^a-z]|$)/i],
];

/**
 * The shards in a folder or in the folders in it, or one file.
 * @returns null if there are none
 */
export function shardFilesAt(place: string): ShardFiles | null {
  if (!existsSync(place)) return null;
  const all = statSync(place).isFile() ? [place] : filesIn(place);
  for (const format of ['parquet', 'tar'] as const) {
    const files = all.filter((file) => file.toLowerCase().endsWith(`.${format}`));
    if (files.length > 0) return { format, files: bySplit(place, files) };
  }
  return null;
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith('.'))
    .flatMap((entry) => {
      const file = path.join(folder, entry.name);
      return entry.isDirectory() ? readdirSync(file).map((name) => path.join(file, name)) : [file];
    })
    .sort();
}

/** Files whose names say nothing are for training. */
function bySplit(place: string, files: string[]): ShardFiles['files'] {
  const splits: ShardFiles['files'] = { train: [], validation: [], test: [] };
  for (const file of files) {
    const name = path.relative(path.dirname(place), file).slice(path.basename(place).length);
    const [split] = SPLITS.find(([, pattern]) => pattern.test(name)) ?? ['train'];
    splits[split].push(file);
  }
  return splits;
}

/** Examples of one split, before their labels are numbers. */
interface Read {
  labels: (string | number | null)[];
  /** File names of the images without a label. */
  unlabelled: string[];
  names: string[] | null;
  make: (labels: Int32Array) => ExampleSet;
}

/**
 * Reads where the images of shards lie, and their labels.
 * @throws UserError for files that are damaged, compressed or without labels; the signal's reason after an abort
 */
export async function openShards(
  place: string,
  { format, files }: ShardFiles,
  signal?: AbortSignal,
): Promise<OpenShards> {
  const leftOut = new LeftOut();
  const folder = statSync(place).isFile() ? path.dirname(place) : place;
  const read = (split: ShardSplit) =>
    format === 'tar'
      ? readTarSplit(files[split], leftOut, signal)
      : readParquetSplit(files[split], signal);
  if (files.train.length === 0) throw new UserError(`${place} has no shards for training`);
  const train = await read('train');
  const classes = classesOf(place, train);
  const labelled = numbered(train, classes);
  if (labelled === null) {
    throw new UserError(
      `${files.train[0]} has images without labels: a tar needs KEY.cls beside KEY.jpg, or a folder per class`,
    );
  }
  const open: OpenShards = {
    classes: classNames([folder], classes),
    train: train.make(labelled),
    notices: [],
  };
  for (const split of ['validation', 'test'] as const) {
    if (files[split].length === 0) continue;
    const part = await read(split);
    const labels = numbered(part, classes) ?? fromLists(folder, split, part, classes, open.notices);
    if (labels === null) open.notices.push(`${files[split][0]} has no labels and is left out`);
    else open[split] = part.make(labels);
  }
  const notice = leftOut.notice(folder);
  if (notice !== null) open.notices.push(notice);
  // With glibc, sharp's library must be loaded here before the decoders' threads load it.
  await import('sharp');
  return open;
}

async function readTarSplit(
  files: string[],
  leftOut: LeftOut,
  signal?: AbortSignal,
): Promise<Read> {
  const index = await readTars(files, leftOut, signal);
  const { labels, unlabelled } = index;
  return { labels, unlabelled, names: null, make: (numbers) => tarSet(index, numbers) };
}

async function readParquetSplit(files: string[], signal?: AbortSignal): Promise<Read> {
  const rows = await readParquetLabels(files, signal);
  const { labels, names } = rows;
  return { labels, unlabelled: [], names, make: (numbers) => parquetSet(rows, numbers) };
}

/** Names by label: those of the files, of `classes.txt` beside them, or the labels themselves. */
function classesOf(place: string, { labels, names }: Read): string[] {
  if (names !== null) return names;
  if (labels.some((label) => typeof label === 'string')) {
    return [...new Set(labels.filter((label) => label !== null).map(String))].sort();
  }
  const list = path.join(place, 'classes.txt');
  if (existsSync(list)) return linesOf(list).map(({ text }) => text);
  const most = labels.reduce<number>((so, label) => Math.max(so, Number(label ?? 0)), 0);
  return Array.from({ length: most + 1 }, (_, label) => String(label));
}

/** @returns null if an image has no label, or none of these classes */
function numbered({ labels }: Read, classes: string[]): Int32Array | null {
  const byName = new Map(classes.map((name, label) => [name, label]));
  const numbers = new Int32Array(new SharedArrayBuffer(4 * labels.length));
  for (const [at, label] of labels.entries()) {
    const number = typeof label === 'string' ? (byName.get(label) ?? -1) : (label ?? -1);
    if (number < 0 || number >= classes.length) return null;
    numbers[at] = number;
  }
  return numbers;
}

/** Labels from lists beside the shards, as ImageNet's validation images have them. */
function fromLists(
  folder: string,
  split: 'validation' | 'test',
  { labels, unlabelled }: Read,
  classes: string[],
  notices: string[],
): Int32Array | null {
  if (unlabelled.length !== labels.length) return null;
  const order = Array.from(unlabelled.keys()).sort((a, b) =>
    unlabelled[a]! < unlabelled[b]! ? -1 : 1,
  );
  const images = order.map((at) => unlabelled[at]!);
  const listed = labelsFromFiles(folder, [split], [folder], images, classes);
  if (listed === null) return null;
  if (listed.notice !== null) notices.push(listed.notice);
  const numbers = new Int32Array(new SharedArrayBuffer(4 * labels.length));
  order.forEach((at, place) => (numbers[at] = listed.labels[place]!));
  return numbers;
}
