/**
 * Which folders of a data set hold what: where the training classes lie, and where test and validation images are
 * looked for. README-like files and other folders beside them do not matter.
 *
 *     DIR/train/CLASS/…, DIR/test/CLASS/…, DIR/val/…      torchvision's ImageFolder; also Train, valid, validation …
 *     DIR/ILSVRC/Data/CLS-LOC/train/WNID/…, val/          Kaggle's ImageNet, with LOC_* files in DIR
 *     DIR/NAME/train/…                                    an archive unpacked into a folder of its own
 *     DIR/CLASS/…                                         no split: `data.split` divides it
 */
import { statSync } from 'node:fs';
import path from 'node:path';
import { UserError } from '../errors.js';
import { foldersIn } from './listing.js';

const TRAIN = ['train', 'training'];
const TEST = ['test', 'testing'];
const VALIDATION = ['val', 'valid', 'validation', 'dev'];
const KAGGLE = ['ILSVRC', 'Data', 'CLS-LOC'];

export interface FolderLayout {
  /** The folder of the training classes. */
  train: string;
  /** Names of the class folders, sorted. */
  classes: string[];
  /** Folders that may hold test images; undefined if there is none. */
  test: string | undefined;
  validation: string | undefined;
  /** Whether nothing is held out, so that the training images must be divided. */
  isUnsplit: boolean;
  /** Folders in which lists of labels and of class names are looked for. */
  lists: string[];
}

/**
 * @param directory a folder that exists
 * @returns null if it is no image folder
 * @throws UserError as `foldersIn`
 */
export function folderLayout(directory: string): FolderLayout | null {
  const root = path.resolve(directory);
  const names = foldersIn(root);
  for (const name of ['train', 'test', 'val']) refuseFile(path.join(root, name));
  for (const home of candidates(root, names)) {
    const layout = splitLayout(home, foldersIn(home));
    if (layout !== null) return { ...layout, lists: placesOfLists(home, root) };
  }
  const isUnsplit =
    names.length >= 2 && !names.some((name) => isNamed(name, [...TEST, ...VALIDATION]));
  if (!isUnsplit) return null;
  return {
    train: root,
    classes: names,
    test: undefined,
    validation: undefined,
    isUnsplit,
    lists: [root],
  };
}

function refuseFile(place: string): void {
  if (statSync(place, { throwIfNoEntry: false })?.isFile() !== true) return;
  throw new UserError(`${place} is a file: it must be a folder of images or of class folders`);
}

/** Where `train` may lie: in the folder, where Kaggle's archive has it, or in the only subfolder. */
function candidates(root: string, names: string[]): string[] {
  const homes = [root];
  for (const [at, name] of KAGGLE.entries()) {
    if (names.includes(name)) homes.push(path.join(root, ...KAGGLE.slice(at)));
  }
  if (names.length === 1 && !KAGGLE.includes(names[0]!)) homes.push(path.join(root, names[0]!));
  return homes;
}

function splitLayout(home: string, names: string[]): Omit<FolderLayout, 'lists'> | null {
  const named = (wanted: string[]) => {
    const name = names.find((candidate) => isNamed(candidate, wanted));
    return name === undefined ? undefined : path.join(home, name);
  };
  const train = named(TRAIN);
  if (train === undefined) return null;
  const [test, validation] = [named(TEST), named(VALIDATION)];
  const isUnsplit = test === undefined && validation === undefined;
  return { train, classes: foldersIn(train), test, validation, isUnsplit };
}

function isNamed(name: string, wanted: string[]): boolean {
  return wanted.includes(name.toLowerCase());
}

/** Kaggle's lists lie three levels above `train`. */
function placesOfLists(home: string, root: string): string[] {
  const levels = home.split(path.sep);
  const isKaggle = KAGGLE.every((name, at) => levels.at(at - KAGGLE.length) === name);
  return [...new Set([home, root, ...(isKaggle ? [path.resolve(home, '../../..')] : [])])];
}
