/**
 * The data sets that a run can train on.
 *
 * An open data set is plain data: each decoder thread gets a clone, in which shared memory stays shared.
 */
import type { DataConfiguration } from '../configuration.js';
import { UserError } from '../errors.js';
import { unlessAborted } from './abortable.js';
import { type Cifar10Set, openCifar10 } from './cifar10.js';
import { pathAt } from './file_list.js';
import { type FolderSet, openFolder } from './folder.js';
import { type GeneratedSet, GENERATED_CLASSES } from './generated.js';
import { type PreparedSet, nameInShards, openPrepared } from './prepared.js';
import type { RandomSet } from './random_images.js';
import type { DatasetStatistics } from './statistics.js';

/** The examples of one split: how many there are (`count`), and where the decoders find them. */
export type ExampleSet = GeneratedSet | Cifar10Set | FolderSet | PreparedSet | RandomSet;

export interface Dataset {
  /** Names, by label. */
  classes: string[];
  train: ExampleSet;
  test: ExampleSet;
  /** Statistics of the training images, if the data set was prepared. */
  statistics?: DatasetStatistics;
}

/**
 * @param signal ends the listing of files, with its reason as the error
 * @throws UserError for a missing folder or file, a truncated file, a label out of range, an empty class
 *   folder, and a number of classes other than `data.classes`
 */
export async function openDataset(data: DataConfiguration, signal?: AbortSignal): Promise<Dataset> {
  const dataset = await unlessAborted(openSource(data, signal), signal);
  if (dataset.classes.length !== data.classes) {
    const where = data.directory ?? `the ${data.source} data set`;
    throw new UserError(
      `${where} has ${dataset.classes.length} classes, but the configuration says data.classes = ${data.classes}: set data.classes to ${dataset.classes.length}, or name other data`,
    );
  }
  return dataset;
}

async function openSource(data: DataConfiguration, signal?: AbortSignal): Promise<Dataset> {
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
      return openCifar10(directoryOf(data));
    case 'folder':
      return openFolder(directoryOf(data), signal);
    case 'prepared':
      return openPrepared(directoryOf(data));
  }
}

/** What messages call an example of a split, such as its file. */
export function nameOfExample(set: ExampleSet, index: number): string {
  switch (set.kind) {
    case 'folder':
      return pathAt(set.files, index);
    case 'prepared':
      return nameInShards(set, index);
    default:
      return `example ${index} of the ${set.kind} data set`;
  }
}

function directoryOf(data: DataConfiguration): string {
  if (data.directory === null) {
    throw new UserError(`data.source is ${data.source}, which needs a folder: give --data DIR`);
  }
  return data.directory;
}
