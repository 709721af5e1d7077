/**
 * Image folders: `train/CLASS/*` and `test/CLASS/*` (or `val/`), as torchvision's `ImageFolder` reads
 * them. Opened by the main thread, which lists the files; the decoders read and decode them.
 */
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../errors.js';
import type { Split } from './dataset.js';

const IMAGE_FILE = /\.(jpe?g|png|webp|gif|bmp|tiff?)$/i;

export interface FolderSet {
  kind: 'folder';
  count: number;
  /** Paths, class after class. */
  files: string[];
  /** int32 [count] */
  labels: Int32Array;
}

/**
 * Classes are the sorted names of train's folders, files within a class are sorted by name.
 * @throws UserError for a missing split, an empty class folder, or a test class that train lacks
 */
export async function openFolder(
  directory: string,
): Promise<{ classes: string[]; train: FolderSet; test: FolderSet }> {
  const trainFolder = splitFolder(directory, 'train', ['train']);
  const testFolder = splitFolder(directory, 'test', ['test', 'val']);
  const classes = await listClasses(trainFolder);
  for (const name of await listClasses(testFolder)) {
    if (!classes.includes(name)) {
      throw new UserError(
        `${path.join(testFolder, name)} is a class that ${trainFolder} lacks: add its training images or remove it`,
      );
    }
  }
  // With glibc, sharp's library must be loaded here before the decoders' threads load it.
  await import('sharp');
  return {
    classes,
    train: await listImages(trainFolder, classes),
    test: await listImages(testFolder, classes),
  };
}

function splitFolder(directory: string, split: Split, names: string[]): string {
  for (const name of names) {
    if (existsSync(path.join(directory, name))) return path.join(directory, name);
  }
  throw new UserError(
    `${path.join(directory, split)} is missing: --data takes a folder with train/CLASS/* and test/CLASS/* (or val/CLASS/*)`,
  );
}

async function listClasses(folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const name of (await readdir(folder)).sort()) {
    // Through symbolic links, as data sets are often linked together.
    if (!name.startsWith('.') && (await stat(path.join(folder, name))).isDirectory()) {
      names.push(name);
    }
  }
  if (names.length === 0) {
    throw new UserError(`${folder} has no class folders: put images into ${folder}/CLASS/`);
  }
  return names;
}

async function listImages(folder: string, classes: string[]): Promise<FolderSet> {
  const files: string[] = [];
  const labels: number[] = [];
  for (const [label, name] of classes.entries()) {
    const classFolder = path.join(folder, name);
    if (!existsSync(classFolder)) continue;
    const images = (await readdir(classFolder))
      .filter((file) => !file.startsWith('.') && IMAGE_FILE.test(file))
      .sort();
    if (images.length === 0) {
      throw new UserError(
        `${classFolder} has no images (jpg, png, webp, gif, bmp, tiff): add some or remove the folder`,
      );
    }
    for (const file of images) {
      files.push(path.join(classFolder, file));
      labels.push(label);
    }
  }
  return { kind: 'folder', count: files.length, files, labels: Int32Array.from(labels) };
}
