/**
 * The data sets that a run can train on.
 *
 * An open data set is plain data: each decoder thread gets a clone, in which shared memory stays shared.
 */
import { existsSync } from 'node:fs';
import type { DataConfiguration } from '../configuration.js';
import { UserError } from '../errors.js';
import { unlessAborted } from './abortable.js';
import type { Cifar10Set } from './cifar10.js';
import { type CifarLabels, cifarAt, openCifar } from './cifar_versions.js';
import { pathAt } from './file_list.js';
import { type FolderSet, openFolder } from './folder.js';
import { type GeneratedSet, GENERATED_CLASSES } from './generated.js';
import { type PreparedSet, nameInShards, openPrepared } from './prepared.js';
import type { RandomSet } from './random_images.js';
import type { DatasetStatistics } from './statistics.js';
import { divided, placeOf } from './subset.js';

/** The examples of one split: how many there are (`count`), and where the decoders find them. */
export type ExampleSet = GeneratedSet | Cifar10Set | FolderSet | PreparedSet | RandomSet;

export interface Dataset {
  /** Names, by label. */
  classes: string[];
  train: ExampleSet;
  test: ExampleSet;
  /** Labelled images that the tests of a run see in place of the test set; undefined if there are none. */
  validation?: ExampleSet;
  /** Label in the network by label in the sets, if they differ; see classes.ts. */
  relabelled?: number[];
  /** What was left out, or understood in one of several ways: a line each. */
  notices?: string[];
  /** Statistics of the training images, if the data set was prepared. */
  statistics?: DatasetStatistics;
}

/**
 * @param signal ends the listing of files, with its reason as the error
 * @throws UserError for a missing folder or file, a truncated file, a label out of range, an empty class
 *   folder, and a number of classes other than `data.classes`
 */
export async function openDataset(data: DataConfiguration, signal?: AbortSignal): Promise<Dataset> {
  const opened = await unlessAborted(openSource(data, signal), signal);
  if (opened.classes.length !== data.classes) {
    const where = data.directory ?? `the ${data.source} data set`;
    throw new UserError(
      `${where} has ${opened.classes.length} classes, but the configuration says data.classes = ${data.classes}: set data.classes to ${opened.classes.length}, or name other data`,
    );
  }
  return withValidation(opened, data.validation);
}

/** Takes the validation images from the training images if a share is asked for, or adds them to those. */
function withValidation(dataset: Dataset, share: number | undefined): Dataset {
  if (share === undefined) return dataset;
  const { validation: _, ...whole } = dataset;
  if (share === 0) return whole;
  const [train, validation] = divided(dataset.train, share, 0);
  return { ...dataset, train, validation };
}

/**
 * Opens a data set, whatever its number of classes and without regard to validation.
 * @throws UserError as `openDataset`
 */
export async function openSource(
  data: Pick<DataConfiguration, 'source' | 'directory' | 'classes' | 'labels'> & {
    split?: number | undefined;
  },
  signal?: AbortSignal,
): Promise<Dataset> {
  switch (data.source) {
    case 'generated':
      return {
        classes: GENERATED_CLASSES,
        train: { kind: 'generated', split: 'train', count: 5000 },
        test: { kind: 'generated', split: 'test', count: 1000 },
      };
    case 'random':
      return {
        classes: Array.from({ length: data.classes }, (_, label) => `class ${label}`),
        train: { kind: 'random', split: 'train', count: 4096, classes: data.classes },
        test: { kind: 'random', split: 'test', count: 1024, classes: data.classes },
      };
    case 'cifar10':
      return openCifarIn(directoryOf(data), data.labels);
    case 'folder':
      return openFolder(directoryOf(data), { split: data.split, signal });
    case 'prepared':
      return openPrepared(directoryOf(data));
  }
}

async function openCifarIn(directory: string, labels: CifarLabels = 'fine'): Promise<Dataset> {
  const place = existsSync(directory) ? cifarAt(directory) : null;
  if (place !== null) return openCifar(place, labels);
  throw new UserError(
    `${directory} has no data_batch_1.bin: --data takes a folder or an archive of CIFAR-10 or CIFAR-100, in the binary or the Python version`,
  );
}

/** What messages call an example of a split, such as its file. */
export function nameOfExample(set: ExampleSet, index: number): string {
  const place = placeOf(set, index);
  switch (set.kind) {
    case 'folder':
      return pathAt(set.files, place);
    case 'prepared':
      return nameInShards(set, place);
    default:
      return `example ${place} of the ${set.kind} data set`;
  }
}

function directoryOf(data: Pick<DataConfiguration, 'source' | 'directory'>): string {
  if (data.directory === null) {
    throw new UserError(`data.source is ${data.source}, which needs a folder: give --data DIR`);
  }
  return data.directory;
}
