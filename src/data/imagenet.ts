/**
 * What ImageNet's distributions have beside the images: the labels of a validation folder without class folders, and
 * the names of the classes.
 *
 *     DIR/ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt, meta.mat   (the devkit)
 *     DIR/LOC_synset_mapping.txt, LOC_val_solution.csv                                  (Kaggle)
 *     DIR/words.txt, val/val_annotations.txt                                            (tiny-imagenet)
 *     DIR/val.txt                                                                       (Caffe)
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { UserError, messageOf } from '../errors.js';
import { type ListedLabels, linesOf, readLabelList } from './label_list.js';
import { comparable } from './listing.js';
import { readMatFile } from './matlab.js';

const GROUND_TRUTH = 'ILSVRC2012_validation_ground_truth.txt';
const DEVKIT_FOLDERS = ['ILSVRC2012_devkit_t12/data', 'devkit/data', 'data', '.'];
const ENDINGS = ['txt', 'csv', 'tsv'];
const withEndings = (...names: string[]) =>
  names.flatMap((name) => ENDINGS.map((ending) => `${name}.${ending}`));

/** Lists of any images, of test images and of validation images, beside their folder or in it. */
const LISTS = {
  any: withEndings('labels'),
  test: withEndings('test', 'test_labels', 'test_annotations'),
  validation: [
    'LOC_val_solution.csv',
    ...withEndings('val', 'val_labels', 'val_annotations', 'validation'),
  ],
};

/** Whether a file may be a list of labels, so that it is no stray among images. */
export function isLabelList(file: string): boolean {
  return Object.values(LISTS).flat().includes(path.basename(file));
}

export const LABELS_FILES = `${GROUND_TRUTH} (with meta.mat) or val.txt (lines "name label")`;

interface Synset {
  id: number;
  wnid: string;
  words: string;
}

/**
 * @param folder of the images
 * @param kinds what the folder holds: ImageNet's list of validation images says nothing of its test images
 * @param places folders beside it in which the lists are looked for
 * @param images file names of the images, sorted
 * @param classes names of the class folders, sorted
 * @returns null if no list is there
 * @throws UserError naming the file and the line, for a label of no class, an image without a label or with two, and
 *   a file that cannot be read or has the wrong length
 */
export function labelsFromFiles(
  folder: string,
  kinds: ('test' | 'validation')[],
  places: string[],
  images: string[],
  classes: string[],
): ListedLabels | null {
  const devkit = kinds.includes('validation') ? devkitFolder(places, GROUND_TRUTH) : null;
  if (devkit !== null) {
    return { labels: groundTruthLabels(devkit, images, classes), notice: null };
  }
  const own = Object.values(LISTS).flat();
  const beside = [...kinds.flatMap((kind) => LISTS[kind]), ...LISTS.any];
  const files = [
    ...own.map((list) => path.join(folder, list)),
    ...places.flatMap((place) => beside.map((list) => path.join(place, list))),
  ];
  const file = files.find((candidate) => existsSync(candidate));
  return file === undefined ? null : readLabelList(file, images, classes);
}

/**
 * Names by class folder, unique: two classes of ImageNet are called `crane`, and are told apart by their folders.
 *
 * @param places folders in which the files are looked for
 * @returns the folders' own names where no file says more
 */
export function classNames(places: string[], folders: string[]): string[] {
  const named = namesFromFiles(places);
  const names = folders.map((folder) => named?.get(folder) ?? folder);
  const count = new Map<string, number>();
  names.forEach((name) => count.set(name, (count.get(name) ?? 0) + 1));
  return names.map((name, at) => (count.get(name) === 1 ? name : `${name} (${folders[at]})`));
}

function namesFromFiles(places: string[]): Map<string, string> | null {
  for (const name of ['LOC_synset_mapping.txt', 'words.txt']) {
    const file = places.map((place) => path.join(place, name)).find((found) => existsSync(found));
    if (file !== undefined)
      return new Map(linesOf(file).map(({ text }) => namedFolder(file, text)));
  }
  const devkit = devkitFolder(places, 'meta.mat');
  if (devkit === null) return null;
  return new Map(readSynsets(devkit).map(({ wnid, words }) => [wnid, words]));
}

function namedFolder(file: string, text: string): [string, string] {
  const end = text.search(/\s/);
  if (end > 0) return [comparable(text.slice(0, end)), comparable(text.slice(end + 1).trim())];
  throw new UserError(`${file}: "${text}" is not a class folder and its name: correct the line`);
}

function devkitFolder(places: string[], file: string): string | null {
  const folders = places.flatMap((place) =>
    DEVKIT_FOLDERS.map((folder) => path.join(place, folder)),
  );
  return folders.find((folder) => existsSync(path.join(folder, file))) ?? null;
}

/** Line i is the ILSVRC2012_ID, from 1, of the i-th image by name. Only meta.mat says which class that is. */
function groundTruthLabels(devkit: string, images: string[], classes: string[]): Int32Array {
  const file = path.join(devkit, GROUND_TRUTH);
  const lines = linesOf(file);
  if (lines.length !== images.length) {
    throw new UserError(
      `${file} has ${lines.length} labels, but there are ${images.length} validation images: use the file that belongs to these images`,
    );
  }
  if (!existsSync(path.join(devkit, 'meta.mat'))) {
    throw new UserError(
      `${path.join(devkit, 'meta.mat')} is missing: it says which class each number of ${GROUND_TRUTH} is; take it from the same devkit`,
    );
  }
  const wnids = new Map(readSynsets(devkit).map(({ id, wnid }) => [String(id), wnid]));
  const labels = new Map(classes.map((name, label) => [name, label]));
  return Int32Array.from(lines, ({ line, text }) => {
    const wnid = wnids.get(text);
    const label = wnid === undefined ? undefined : labels.get(wnid);
    if (label !== undefined) return label;
    throw new UserError(
      `${file}, line ${line}: class ${text}${wnid === undefined ? '' : ` (${wnid})`} has no folder in train/: add it, or use the labels of these classes`,
    );
  });
}

function readSynsets(devkit: string): Synset[] {
  const file = path.join(devkit, 'meta.mat');
  try {
    const synsets = readMatFile(readFileSync(file)).get('synsets');
    if (!Array.isArray(synsets)) throw new Error('it has no variable "synsets"');
    return synsets.map((synset) => {
      const { ILSVRC2012_ID: id, WNID: wnid, words } = synset as Record<string, unknown>;
      if (!Array.isArray(id) || typeof wnid !== 'string' || typeof words !== 'string') {
        throw new Error('its synsets have no ILSVRC2012_ID, WNID or words');
      }
      return { id: id[0] as number, wnid, words };
    });
  } catch (error) {
    throw new UserError(
      `${file} cannot be read (${messageOf(error)}): unpack it from the devkit again`,
    );
  }
}
