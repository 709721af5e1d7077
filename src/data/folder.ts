/**
 * Image folders: `train/CLASS/*` and `test/CLASS/*` (or `val/`), as torchvision's `ImageFolder` reads
 * them, and ImageNet's, whose `val/` may be flat with its labels in a file. Opened by the main thread, which lists the files; the decoders read and decode them.
 */
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { UserError, messageOf } from '../errors.js';
import { type FileList, fileList, packNames } from './file_list.js';
import { LABELS_FILES, classNames, validationLabels } from './imagenet.js';

const IMAGE_FILE = /\.(jpe?g|png|webp|gif|tiff?)$/i;

export interface FolderSet {
  kind: 'folder';
  count: number;
  /** Class after class. */
  files: FileList;
  /** int32 [count] */
  labels: Int32Array;
}

/** Of images wherever they lie. @param labels int32 [files.length] */
export function setOfFiles(files: string[], labels: Int32Array): FolderSet {
  return folderSet(fileList('', [packNames(files)]), labels);
}

function folderSet(files: FileList, labels: Int32Array): FolderSet {
  return { kind: 'folder', count: files.ends.length, files, labels };
}

/** A split's folder, and its images beside one another where it has no class folders. */
interface SplitFolder {
  folder: string;
  flat: string[] | null;
}

/**
 * Labels follow the sorted names of train's folders, files within a class are sorted by name. Classes are
 * called by those names, or as ImageNet's own files beside them say.
 * @throws UserError for a missing split, an empty class folder, a test class that train lacks, and a
 *   labels file that does not fit
 */
export async function openFolder(
  directory: string,
  signal?: AbortSignal,
): Promise<{ classes: string[]; train: FolderSet; test: FolderSet }> {
  const trainFolder = path.join(directory, 'train');
  if (!existsSync(trainFolder)) {
    throw new UserError(
      `${trainFolder} is missing: --data takes a folder with train/CLASS/* and test/CLASS/* (or val/CLASS/*)`,
    );
  }
  const folders = await listClasses(trainFolder);
  if (folders.length === 0) {
    throw new UserError(
      `${trainFolder} has no class folders: put images into ${trainFolder}/CLASS/`,
    );
  }
  const { folder, flat } = await findTestFolder(directory);
  const test =
    flat === null
      ? await listTestClasses(folder, trainFolder, folders)
      : labelFlat(directory, folder, flat, folders);
  const names = classNames(directory);
  // With glibc, sharp's library must be loaded here before the decoders' threads load it.
  await import('sharp');
  return {
    classes: folders.map((name) => names?.get(name) ?? name),
    train: await listImages(trainFolder, folders, signal),
    test,
  };
}

/** `test/` or `val/` with class folders, else a flat `val/`: ImageNet's own `test/` has no labels. */
async function findTestFolder(directory: string): Promise<SplitFolder> {
  const present = ['test', 'val']
    .map((name) => path.join(directory, name))
    .filter((folder) => existsSync(folder));
  for (const folder of present) {
    if ((await listClasses(folder)).length > 0) return { folder, flat: null };
  }
  for (const folder of present.reverse()) {
    const flat = await imagesIn(folder);
    if (flat.length > 0) return { folder, flat };
  }
  throw new UserError(
    `${directory} has no validation set: put images into ${path.join(directory, 'test/CLASS/')} or val/CLASS/, or into val/ with ${LABELS_FILES}`,
  );
}

async function listTestClasses(
  folder: string,
  trainFolder: string,
  classes: string[],
): Promise<FolderSet> {
  for (const name of await listClasses(folder)) {
    if (!classes.includes(name)) {
      throw new UserError(
        `${path.join(folder, name)} is a class that ${trainFolder} lacks: add its training images or remove it`,
      );
    }
  }
  return listImages(folder, classes);
}

function labelFlat(
  directory: string,
  folder: string,
  images: string[],
  classes: string[],
): FolderSet {
  const labels = validationLabels(directory, images, classes);
  if (labels === null) {
    throw new UserError(
      `${folder} has images but no class folders: sort them into ${folder}/CLASS/, or put ${LABELS_FILES} into ${directory}`,
    );
  }
  return folderSet(fileList(path.join(folder, path.sep), [packNames(images)]), labels);
}

async function listClasses(folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const name of await namesIn(folder)) {
    if (await isFolder(path.join(folder, name))) names.push(name);
  }
  return names;
}

/** Sorted, without those that begin with a dot. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  } catch (error) {
    throw new UserError(
      `${folder} cannot be read (${messageOf(error)}): it must be a folder of images or of class folders`,
    );
  }
}

/**
 * Through symbolic links, wherever they lead, as data sets are often linked together. Nothing is looked for
 * below a class folder, so that links in a circle end nowhere but here.
 */
async function isFolder(place: string): Promise<boolean> {
  try {
    return (await stat(place)).isDirectory();
  } catch (error) {
    throw new UserError(`${place} leads nowhere (${messageOf(error)}): mend or remove the link`);
  }
}

/** Names of the image files, sorted. */
async function imagesIn(folder: string): Promise<string[]> {
  return (await namesIn(folder)).filter((file) => IMAGE_FILE.test(file));
}

async function listImages(
  folder: string,
  classes: string[],
  signal?: AbortSignal,
): Promise<FolderSet> {
  const parts: Uint8Array[] = [];
  const counts = new Uint32Array(classes.length);
  for (const [label, name] of classes.entries()) {
    signal?.throwIfAborted();
    const classFolder = path.join(folder, name);
    if (!existsSync(classFolder)) continue;
    const images = await imagesIn(classFolder);
    if (images.length === 0) {
      throw new UserError(
        `${classFolder} has no images (jpg, png, webp, gif, tiff): add some or remove the folder`,
      );
    }
    parts.push(packNames(images.map((image) => path.join(name, image))));
    counts[label] = images.length;
  }
  const files = fileList(path.join(folder, path.sep), parts);
  // Shared, as every shard's task of `data prepare` goes to its thread with the set.
  const labels = new Int32Array(new SharedArrayBuffer(4 * files.ends.length));
  let first = 0;
  for (const [label, count] of counts.entries()) labels.fill(label, first, (first += count));
  return folderSet(files, labels);
}
