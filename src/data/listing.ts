/** Lists the folders and images of a data set, without the litter that programs leave in folders. */
import { readdirSync, statSync } from 'node:fs';
import type { Dirent, Stats } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { UserError, messageOf } from '../errors.js';
import { Breather } from './abortable.js';
import { beginsLikeAnImage } from './signatures.js';

/** Folders and files of file managers, archives, file systems and Python, lower case. Names with a dot are hidden. */
const LITTER = new Set([
  '__macosx',
  '__pycache__',
  '@eadir',
  '@recycle',
  '#recycle',
  '$recycle.bin',
  'lost+found',
  'system volume information',
  'thumbs.db',
  'ehthumbs.db',
  'desktop.ini',
  'icon\r',
]);

/** Endings of files that are taken for images unopened. Other files are opened and looked at. */
const IMAGE_NAME = /\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|bmp|avif)$/i;

/** U+FFFD stands where the bytes of a name are no UTF-8. */
const NOT_UTF8 = '\ufffd';

/** Whether a name of a folder is looked at: not hidden, not litter. */
function isVisible(name: string): boolean {
  return !name.startsWith('.') && !LITTER.has(name.toLowerCase());
}

/** Files that are no images: how many, and some of their names. */
export class LeftOut {
  count = 0;
  readonly examples: string[] = [];

  add(file: string): void {
    this.count++;
    if (this.examples.length < 3) this.examples.push(file);
  }

  /** One line; null if nothing was left out. */
  notice(folder: string): string | null {
    if (this.count === 0) return null;
    const names = this.examples.map((file) => path.relative(folder, file));
    const rest = this.count > names.length ? ' …' : '';
    const files =
      this.count === 1 ? '1 file is no image and is' : `${this.count} files are no images and are`;
    return `${files} left out of ${folder}: ${names.join(', ')}${rest}`;
  }
}

/** A name as it is compared: accents composed in one way, whatever the file system or the editor wrote. */
export function comparable(name: string): string {
  return name.normalize('NFC');
}

/**
 * The visible subfolders of a folder, sorted by name. Links lead to wherever they point.
 *
 * @throws UserError naming a folder that cannot be read, a broken link, or a name that is not UTF-8
 */
export function foldersIn(folder: string): string[] {
  return entriesIn(folder, () => readdirSync(folder, { withFileTypes: true }))
    .filter((entry) => isFolder(folder, entry))
    .map(({ name }) => name)
    .sort();
}

function isFolder(parent: string, entry: Dirent): boolean {
  if (entry.isDirectory()) return true;
  if (entry.isFile() || IMAGE_NAME.test(entry.name)) return false;
  return targetOf(path.join(parent, entry.name)).isDirectory();
}

function targetOf(place: string): Stats {
  try {
    return statSync(place);
  } catch (error) {
    throw new UserError(`${place} is a broken link (${messageOf(error)}): fix or remove the link`);
  }
}

function entriesIn(folder: string, read: () => Dirent[]): Dirent[] {
  try {
    return visible(folder, read());
  } catch (error) {
    throw unreadable(folder, error);
  }
}

function unreadable(folder: string, error: unknown): UserError {
  if (error instanceof UserError) return error;
  return new UserError(
    `${folder} cannot be read (${messageOf(error)}): it must be a folder of images or of class folders`,
  );
}

function visible(folder: string, entries: Dirent[]): Dirent[] {
  const kept = entries.filter(({ name }) => isVisible(name));
  const odd = kept.find(({ name }) => name.includes(NOT_UTF8));
  if (odd === undefined) return kept;
  throw new UserError(
    `${path.join(folder, odd.name)} has a name that is not UTF-8: rename it, for example with convmv -f latin1 -t utf8 --notest`,
  );
}

/**
 * The images in a folder and its subfolders, as paths relative to it, sorted.
 *
 * A file is an image if its name ends like one or if its content begins like one. Folders are followed through
 * links, each only once, so links in a circle end.
 *
 * @param onOther called with the path of each other file
 * @throws UserError as `foldersIn`; the signal's reason after an abort
 */
export async function imagesBelow(
  folder: string,
  onOther: (file: string) => void,
  signal?: AbortSignal,
): Promise<string[]> {
  const images: string[] = [];
  const breather = new Breather(signal);
  const seen = new Set<string>();
  const visit = async (below: string): Promise<void> => {
    signal?.throwIfAborted();
    const place = path.join(folder, below);
    const subfolders: string[] = [];
    for (const entry of await readEntries(place)) {
      const file = path.join(below, entry.name);
      if (isFolder(place, entry)) subfolders.push(file);
      else if (IMAGE_NAME.test(entry.name) || beginsLikeAnImage(path.join(folder, file))) {
        images.push(file);
      } else onOther(path.join(folder, file));
      await breather.breathe();
    }
    for (const subfolder of subfolders) {
      if (isNew(seen, path.join(folder, subfolder))) await visit(subfolder);
    }
  };
  // A link to a folder above would list the whole data set as its own.
  for (let above = path.resolve(folder); above !== path.dirname(above);) {
    above = path.dirname(above);
    isNew(seen, above);
  }
  if (isNew(seen, folder)) await visit('');
  return images.sort();
}

async function readEntries(folder: string): Promise<Dirent[]> {
  try {
    return visible(folder, await readdir(folder, { withFileTypes: true }));
  } catch (error) {
    throw unreadable(folder, error);
  }
}

function isNew(seen: Set<string>, folder: string): boolean {
  const found = statSync(folder, { bigint: true, throwIfNoEntry: false });
  const identity = `${found?.dev}:${found?.ino}`;
  if (seen.has(identity)) return false;
  seen.add(identity);
  return true;
}
