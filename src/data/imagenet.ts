/**
 * What ImageNet's distributions have beside the images: the labels of a validation folder without class
 * folders, and the classes' names. Called by folder.ts.
 *
 *     DIR/val/ILSVRC2012_val_00000001.JPEG …
 *     DIR/ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt, meta.mat   (the devkit)
 *     DIR/LOC_synset_mapping.txt, LOC_val_solution.csv                                  (Kaggle's)
 *     DIR/val.txt                                        (lines `name label`, as Caffe has them)
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { UserError, messageOf } from '../errors.js';
import { readMatFile } from './matlab.js';

const GROUND_TRUTH = 'ILSVRC2012_validation_ground_truth.txt';
const DEVKIT_FOLDERS = ['ILSVRC2012_devkit_t12/data', 'devkit/data', 'data', '.'];
const LISTS = ['val.txt', 'val_labels.txt', 'labels.txt', 'LOC_val_solution.csv'];

export const LABELS_FILES = `${GROUND_TRUTH} (with meta.mat) or val.txt (lines "name label")`;

interface Synset {
  id: number;
  wnid: string;
  words: string;
}

/**
 * @param directory the data set's folder
 * @param images the names of the validation images, sorted
 * @param classes the names of train's class folders, sorted
 * @returns int32 [images.length], indices into `classes`; null where no labels file is there
 * @throws UserError naming the file and the line, for a label of no class, an image without a label or with
 *   two, and a file that cannot be read or has the wrong length
 */
export function validationLabels(
  directory: string,
  images: string[],
  classes: string[],
): Int32Array | null {
  const devkit = devkitFolder(directory, GROUND_TRUTH);
  if (devkit !== null) return groundTruthLabels(devkit, images, classes);
  const name = LISTS.find((list) => existsSync(path.join(directory, list)));
  return name === undefined ? null : listedLabels(path.join(directory, name), images, classes);
}

/** Names by class folder: of LOC_synset_mapping.txt or the devkit; null where neither is there. */
export function classNames(directory: string): Map<string, string> | null {
  const mapping = path.join(directory, 'LOC_synset_mapping.txt');
  if (existsSync(mapping)) {
    return new Map(
      linesOf(mapping).map((line) => {
        const space = line.indexOf(' ');
        if (space > 0) return [line.slice(0, space), line.slice(space + 1)];
        throw new UserError(`${mapping}: "${line}" is not a class folder and its name`);
      }),
    );
  }
  const devkit = devkitFolder(directory, 'meta.mat');
  if (devkit === null) return null;
  return new Map(readSynsets(devkit).map(({ wnid, words }) => [wnid, words]));
}

function devkitFolder(directory: string, file: string): string | null {
  const folders = DEVKIT_FOLDERS.map((folder) => path.join(directory, folder));
  return folders.find((folder) => existsSync(path.join(folder, file))) ?? null;
}

/** Line i is the ILSVRC2012_ID, from 1, of the i-th image by name; its meaning stands in meta.mat alone. */
function groundTruthLabels(devkit: string, images: string[], classes: string[]): Int32Array {
  const file = path.join(devkit, GROUND_TRUTH);
  const lines = linesOf(file);
  checkLength(file, lines.length, images.length);
  if (!existsSync(path.join(devkit, 'meta.mat'))) {
    throw new UserError(
      `${path.join(devkit, 'meta.mat')} is missing: it says which class each number of ${GROUND_TRUTH} is; take it from the same devkit`,
    );
  }
  const wnids = new Map(readSynsets(devkit).map(({ id, wnid }) => [String(id), wnid]));
  const labels = new Map(classes.map((name, label) => [name, label]));
  return Int32Array.from(lines, (line, index) => {
    const wnid = wnids.get(line);
    const label = wnid === undefined ? undefined : labels.get(wnid);
    if (label !== undefined) return label;
    throw new UserError(
      `${file}, line ${index + 1}: class ${line}${wnid === undefined ? '' : ` (${wnid})`} has no folder in train/: add it, or use the labels of these classes`,
    );
  });
}

/** A label is a class folder's name or, from 0, its place among the sorted names. */
function listedLabels(file: string, images: string[], classes: string[]): Int32Array {
  const labels = new Map(classes.map((name, label) => [name, label]));
  classes.forEach((_, label) => {
    if (!labels.has(String(label))) labels.set(String(label), label);
  });
  const lines = linesOf(file).slice(file.endsWith('.csv') ? 1 : 0);
  checkLength(file, lines.length, images.length);
  const listed = new Map<string, number>();
  lines.forEach((line) => {
    const [name, label] = line.split(/[\s,]+/) as [string, string | undefined];
    const known = label === undefined ? undefined : labels.get(label);
    if (known === undefined) {
      throw new UserError(
        `${file}: "${line}" is not an image's name and a class folder's name or number (0 to ${classes.length - 1}); mend the line`,
      );
    }
    if (listed.has(stem(name))) {
      throw new UserError(
        `${file} has more than one line for ${stem(name)}: leave one, or give these images different names`,
      );
    }
    listed.set(stem(name), known);
  });
  return Int32Array.from(images, (image) => {
    const label = listed.get(stem(image));
    if (label !== undefined) return label;
    throw new UserError(`${file} has no line for ${image}: add one, or remove the image`);
  });
}

function stem(image: string): string {
  return path.parse(image).name;
}

function checkLength(file: string, labels: number, images: number): void {
  if (labels === images) return;
  throw new UserError(
    `${file} has ${labels} labels, but there are ${images} validation images: use the file that belongs to these images`,
  );
}

function linesOf(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UserError(`${file} cannot be read (${messageOf(error)}): mend it, or take it away`);
  }
  const lines = text.split('\n');
  return lines.map((line) => line.trim()).filter((line) => line !== '');
}

function readSynsets(devkit: string): Synset[] {
  const file = path.join(devkit, 'meta.mat');
  try {
    const synsets = readMatFile(readFileSync(file)).get('synsets');
    if (!Array.isArray(synsets)) throw new Error('it has no variable "synsets"');
    return synsets.map((synset) => {
      const { ILSVRC2012_ID: id, WNID: wnid, words } = synset as Record<string, unknown>;
      if (!Array.isArray(id) || typeof wnid !== 'string' || typeof words !== 'string') {
        throw new Error('its synsets lack ILSVRC2012_ID, WNID or words');
      }
      return { id: id[0] as number, wnid, words };
    });
  } catch (error) {
    throw new UserError(
      `${file} cannot be read (${messageOf(error)}): take it from the devkit again`,
    );
  }
}
