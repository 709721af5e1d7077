/**
 * Image folders: a folder per class, as torchvision's `ImageFolder` reads them, and ImageNet's distributions, whose
 * validation images lie in one folder with their labels in a file. layout.ts says which folders are looked at.
 */
import path from 'node:path';
import { UserError } from '../errors.js';
import { type FileList, fileList, packNames } from './file_list.js';
import { LABELS_FILES, classNames, isLabelList, labelsFromFiles } from './imagenet.js';
import { type FolderLayout, folderLayout } from './layout.js';
import { LeftOut, comparable, foldersIn, imagesBelow } from './listing.js';
import { type Part, divided } from './part.js';

export interface FolderSet extends Part {
  kind: 'folder';
  count: number;
  /** Class after class. */
  files: FileList;
  /** int32, by file */
  labels: Int32Array;
}

export interface OpenFolder {
  /** Names, by label. */
  classes: string[];
  train: FolderSet;
  /** Labelled images beside those of the test; undefined if there are none. */
  validation?: FolderSet;
  test: FolderSet;
  /** What was left out or understood in one of several ways, a line each. */
  notices: string[];
}

/** How a folder without a test set is divided. */
export interface FolderOptions {
  /** Share of each class that is for training, 0 to 1; undefined: such a folder is refused. */
  split?: number | undefined;
  seed?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Images wherever they lie. @param labels int32 [files.length] */
export function setOfFiles(files: string[], labels: Int32Array): FolderSet {
  return folderSet(fileList('', [packNames(files)]), labels);
}

function folderSet(files: FileList, labels: Int32Array): FolderSet {
  return { kind: 'folder', count: files.ends.length, files, labels };
}

/** A folder while it is opened. */
interface Opening {
  directory: string;
  layout: FolderLayout;
  /** Label by name, with accents composed. */
  labels: Map<string, number>;
  leftOut: LeftOut;
  notices: string[];
  signal: AbortSignal | undefined;
}

/**
 * Opens an image folder. Labels follow the sorted names of the training folders; files of a class are sorted.
 *
 * @throws UserError for a missing split, an empty class folder, a test class without training images, a list of
 *   labels that does not fit, and names that are not UTF-8; the signal's reason after an abort
 */
export async function openFolder(
  directory: string,
  options: FolderOptions = {},
): Promise<OpenFolder> {
  const layout = folderLayout(directory);
  if (layout === null) {
    throw new UserError(
      `${path.join(directory, 'train')} is missing: --data takes a folder with train/CLASS/* and test/CLASS/* (or val/CLASS/*)`,
    );
  }
  const { train: trainFolder, classes: folders, lists } = layout;
  if (folders.length === 0) {
    throw new UserError(
      `${trainFolder} has no class folders: put images into ${trainFolder}/CLASS/`,
    );
  }
  const opening: Opening = {
    directory,
    layout,
    labels: labelsOf(folders, trainFolder),
    leftOut: new LeftOut(),
    notices: [],
    signal: options.signal,
  };
  const heldOut = await openHeldOut(opening);
  const train = await listImages(opening, trainFolder, folders);
  // With glibc, sharp's library must be loaded here before the decoders' threads load it.
  await import('sharp');
  const leftOut = opening.leftOut.notice(directory);
  return {
    classes: classNames(lists, folders.map(comparable)),
    ...(heldOut === null ? splitUp(directory, train, options) : { train, ...heldOut }),
    notices: [...opening.notices, ...(leftOut === null ? [] : [leftOut])],
  };
}

function labelsOf(folders: string[], trainFolder: string): Map<string, number> {
  const labels = new Map(folders.map((folder, label) => [comparable(folder), label]));
  if (labels.size === folders.length) return labels;
  const twice = folders.find((folder, label) => labels.get(comparable(folder)) !== label)!;
  throw new UserError(
    `${trainFolder} has two folders called ${twice}, whose accents are composed in two ways: move their images into one`,
  );
}

function splitUp(
  directory: string,
  all: FolderSet,
  { split, seed = 0 }: FolderOptions,
): { train: FolderSet; test: FolderSet } {
  if (split === undefined) {
    throw new UserError(
      `${directory} has no validation set: put images into ${path.join(directory, 'test/CLASS/')} or val/CLASS/, or into val/ with ${LABELS_FILES}, or divide the images with --split 0.8`,
    );
  }
  const [train, test] = divided(all, (index) => all.labels[index]!, 1 - split, seed);
  return { train, test };
}

/** Test and validation images that have labels. Others are left out: ImageNet's `test/` has none. */
async function openHeldOut(
  opening: Opening,
): Promise<{ validation?: FolderSet; test: FolderSet } | null> {
  const { directory, layout, notices } = opening;
  const unlabelled: string[] = [];
  const open = async (folder: string | undefined): Promise<FolderSet | null> => {
    if (folder === undefined) return null;
    const set = await openLabelled(opening, folder);
    if (set === null) unlabelled.push(folder);
    return set;
  };
  const test = await open(layout.test);
  const validation = await open(layout.validation);
  const folder = unlabelled.at(-1);
  if (test === null && validation === null) {
    if (folder === undefined) return null;
    throw withoutLabels(directory, folder, layout.train);
  }
  unlabelled.forEach((other) => notices.push(`${other} has no labels and is left out`));
  if (test === null) return { test: validation! };
  return { test, ...(validation !== null && { validation }) };
}

function withoutLabels(directory: string, folder: string, trainFolder: string): UserError {
  const [stray] = foldersIn(folder);
  return stray === undefined
    ? new UserError(
        `${folder} has images but no class folders: sort them into ${folder}/CLASS/, or put ${LABELS_FILES} into ${directory}`,
      )
    : new UserError(
        `${path.join(folder, stray)} is a class that ${trainFolder} does not have, and neither are the other folders there: use the same names in both`,
      );
}

/** By class folders if one is called like a class, else by a list. @returns null if there are no labels */
async function openLabelled(opening: Opening, folder: string): Promise<FolderSet | null> {
  const { layout, labels, leftOut, notices, signal } = opening;
  const names = foldersIn(folder);
  if (names.some((name) => labels.has(comparable(name)))) {
    refuseUnknown(opening, folder, names);
    return listImages(opening, folder, names);
  }
  const others: string[] = [];
  const images = await imagesBelow(folder, (file) => others.push(file), signal);
  if (images.length === 0) return null;
  const { test, validation, lists } = layout;
  const isOnly = test === undefined || validation === undefined;
  const kind = folder === test ? 'test' : 'validation';
  const kinds: ('test' | 'validation')[] = isOnly ? ['test', 'validation'] : [kind];
  const listed = labelsFromFiles(folder, kinds, lists, images, [...labels.keys()]);
  if (listed === null) return null;
  if (listed.notice !== null) notices.push(listed.notice);
  others.filter((file) => !isLabelList(file)).forEach((file) => leftOut.add(file));
  return folderSet(fileList(path.join(folder, path.sep), [packNames(images)]), listed.labels);
}

function refuseUnknown({ labels, layout }: Opening, folder: string, names: string[]): void {
  const unknown = names.find((name) => !labels.has(comparable(name)));
  if (unknown === undefined) return;
  const alike = [...labels.keys()].find((name) => name.toLowerCase() === unknown.toLowerCase());
  const remedy =
    alike === undefined
      ? 'add its training images or remove it'
      : `rename it to ${alike}, as it is called there`;
  throw new UserError(
    `${path.join(folder, unknown)} is a class that ${layout.train} does not have: ${remedy}`,
  );
}

/** The images of class folders. Only a training class must have some. */
async function listImages(opening: Opening, folder: string, names: string[]): Promise<FolderSet> {
  const { layout, labels, leftOut, notices, signal } = opening;
  const parts: Uint8Array[] = [];
  const runs: { label: number; count: number }[] = [];
  for (const name of names) {
    const classFolder = path.join(folder, name);
    const images = await imagesBelow(classFolder, (file) => leftOut.add(file), signal);
    if (images.length === 0 && folder === layout.train) {
      throw new UserError(
        `${classFolder} has no images: add some, or remove the folder if it is not a class`,
      );
    }
    if (images.length === 0) notices.push(`${classFolder} has no images: its class is not tested`);
    parts.push(packNames(images.map((image) => path.join(name, image))));
    runs.push({ label: labels.get(comparable(name))!, count: images.length });
  }
  const files = fileList(path.join(folder, path.sep), parts);
  // Shared, because each shard's task of `data prepare` goes to its thread with the set.
  const byFile = new Int32Array(new SharedArrayBuffer(4 * files.ends.length));
  let first = 0;
  for (const { label, count } of runs) byFile.fill(label, first, (first += count));
  return folderSet(files, byFile);
}
