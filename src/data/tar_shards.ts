/**
 * Images in tars, read where they lie: WebDataset shards, tars of class folders, and ImageNet's original tar of a tar
 * per class.
 *
 *     000.jpg, 000.cls (or 000.json with "label")    WebDataset: a key's image and its label
 *     n01440764/000.JPEG                             the folder is the class
 *     n01440764.tar with 000.JPEG                    the inner tar is the class
 */
import path from 'node:path';
import { UserError } from '../errors.js';
import { Breather } from './abortable.js';
import { LeftOut, comparable } from './listing.js';
import type { PackedSet } from './packed.js';
import { formatOf } from './signatures.js';
import { Tar, type TarFile } from './tar_index.js';

/** Examples of shards before their labels are numbers. */
export interface LabelledShards {
  shards: string[];
  /** The first example of each shard. */
  firsts: number[];
  starts: number[];
  lengths: number[];
  /** A number or a name; null if an image has none. */
  labels: (string | number | null)[];
  /** File names of the images without a label, in order. */
  unlabelled: string[];
  isMixed: boolean;
}

/** Bytes of a label. */
const LONGEST_LABEL = 1 << 16;
const IMAGE_NAME = /\.(jpe?g|jfif|png|webp|gif|tiff?|bmp|avif|img|image)$/i;

/**
 * Reads the index of tars.
 *
 * @throws UserError for a tar that is cut short, damaged or compressed; the signal's reason after an abort
 */
export async function readTars(
  files: string[],
  leftOut: LeftOut,
  signal?: AbortSignal,
): Promise<LabelledShards> {
  const breather = new Breather(signal);
  const index: LabelledShards = {
    shards: [],
    firsts: [],
    starts: [],
    lengths: [],
    labels: [],
    unlabelled: [],
    isMixed: true,
  };
  for (const file of files) {
    const tar = Tar.open(file);
    try {
      await readTar(tar, index, leftOut, breather);
    } finally {
      tar.close();
    }
  }
  return index;
}

async function readTar(
  tar: Tar,
  index: LabelledShards,
  leftOut: LeftOut,
  breather: Breather,
): Promise<void> {
  index.shards.push(tar.file);
  index.firsts.push(index.starts.length);
  /** The example and its label by WebDataset's key, until the next key comes. */
  let group: { key: string; image: TarFile | null; label: string | number | null } | undefined;
  const finish = () => {
    if (group?.image != null)
      add(index, group.image, group.label ?? folderOf(group.image.name, index));
  };
  for await (const file of tar.files(breather)) {
    if (/(^|\/)(\._|\.DS_Store$)/.test(file.name)) continue;
    if (file.name.endsWith('.tar')) {
      index.isMixed = false;
      const name = path.posix.basename(file.name, '.tar');
      for await (const inner of tar.files(breather, file)) {
        if (isImage(tar, inner)) add(index, inner, name);
        else leftOut.add(`${tar.file}/${file.name}/${inner.name}`);
      }
      continue;
    }
    const key = keyOf(file.name);
    if (group?.key !== key) {
      finish();
      group = { key, image: null, label: null };
    }
    if (isImage(tar, file)) group.image = file;
    else {
      const label = labelIn(tar, file);
      if (label === undefined) leftOut.add(`${tar.file}/${file.name}`);
      else group.label = label ?? group.label;
    }
  }
  finish();
}

function add(
  index: LabelledShards,
  { name, start, length }: TarFile,
  label: string | number | null,
): void {
  index.starts.push(start);
  index.lengths.push(length);
  if (label === null) index.unlabelled.push(path.posix.basename(name));
  index.labels.push(typeof label === 'string' ? comparable(label) : label);
}

/** WebDataset: up to the first dot of the file's name. */
function keyOf(name: string): string {
  const slash = name.lastIndexOf('/') + 1;
  const dot = name.indexOf('.', slash);
  return dot < 0 ? name : name.slice(0, dot);
}

/** The folder of a class; images of one folder lie together. */
function folderOf(name: string, index: LabelledShards): string | null {
  const folder = path.posix.basename(path.posix.dirname(name));
  if (folder === '.' || folder === '') return null;
  index.isMixed = false;
  return folder;
}

function isImage(tar: Tar, { name, start, length }: TarFile): boolean {
  if (IMAGE_NAME.test(name)) return true;
  if (/\.(cls|json|txt|xml|npy|__key__)$/i.test(name)) return false;
  return formatOf(tar.read(start, Math.min(length, 32))) !== null;
}

/** @returns null for a file that may lack a label, undefined for one that is no part of an example */
function labelIn(tar: Tar, { name, start, length }: TarFile): string | number | null | undefined {
  if (length > LONGEST_LABEL) return undefined;
  if (/\.(cls|label|class)$/i.test(name)) {
    const text = new TextDecoder().decode(tar.read(start, length)).trim();
    return /^-?\d+$/.test(text) ? Number(text) : text;
  }
  if (!/\.json$/i.test(name)) return /\.(txt|xml)$/i.test(name) ? null : undefined;
  try {
    const fields = JSON.parse(new TextDecoder().decode(tar.read(start, length))) as Record<
      string,
      unknown
    >;
    const label = fields['label'] ?? fields['cls'] ?? fields['class'];
    return typeof label === 'string' || typeof label === 'number' ? label : null;
  } catch (error) {
    if (error instanceof UserError) throw error;
    return null;
  }
}

/** @param labels int32, by example */
export function tarSet(index: LabelledShards, labels: Int32Array): PackedSet {
  const count = index.starts.length;
  const starts = new Float64Array(new SharedArrayBuffer(8 * count));
  const lengths = new Uint32Array(new SharedArrayBuffer(4 * count));
  starts.set(index.starts);
  lengths.set(index.lengths);
  const firsts = Uint32Array.from([...index.firsts, count]);
  const { shards, isMixed } = index;
  return { kind: 'tar', count, shards, firsts, starts, lengths, labels, isMixed };
}
