/**
 * The data sets that a run can train on.
 *
 * An open data set is plain data: each decoder thread gets a clone, in which shared memory stays shared.
 */
import { existsSync } from 'node:fs';
import type { DataConfiguration } from '../configuration.js';
import { UserError } from '../errors.js';
import { unlessAborted } from './abortable.js';
import { type CifarLabels, cifarAt, openCifar } from './cifar_versions.js';
import { withClasses } from './classes.js';
import { type Dataset, labelOf } from './examples.js';
import { openFolder } from './folder.js';
import { GENERATED_CLASSES } from './generated.js';
import { divided } from './part.js';
import { openPrepared } from './prepared.js';
import { openShards, shardFilesAt } from './shard_sets.js';

/** The classes of a run. */
export interface RunClasses {
  /** Names, by label. */
  classes: string[];
  /** A file of lines `NAME IN THE DATA, NAME IN THE RUN`; undefined if the names are the same. */
  file: string | undefined;
}

/**
 * @param signal ends the listing of files, with its reason as the error
 * @param run the classes of the run that the data is for: labels become the run's
 * @throws UserError for a missing folder or file, a truncated file, a label out of range, an empty class
 *   folder, and a number of classes other than `data.classes`
 */
export async function openDataset(
  data: DataConfiguration,
  signal?: AbortSignal,
  run?: RunClasses,
): Promise<Dataset> {
  const source = await unlessAborted(openSource(data, signal), signal);
  const opened = run === undefined ? source : withClasses(source, run.classes, run.file);
  // Shards say how many classes they have only when they are read.
  if (data.source !== 'shards' && opened.classes.length !== data.classes) {
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
  if (share === 0) {
    const whole = { ...dataset };
    delete whole.validation;
    return whole;
  }
  const [train, validation] = divided(
    dataset.train,
    (index) => labelOf(dataset.train, index),
    share,
    0,
  );
  return { ...dataset, train, validation, undivided: dataset.train };
}

/**
 * Opens a data set, whatever its number of classes and without regard to validation.
 * @throws UserError as `openDataset`
 */
export async function openSource(
  data: Pick<DataConfiguration, 'source' | 'directory' | 'labels'> & {
    classes?: number;
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
    case 'random': {
      const { classes = 2 } = data;
      return {
        classes: Array.from({ length: classes }, (_, label) => `class ${label}`),
        train: { kind: 'random', split: 'train', count: 4096, classes },
        test: { kind: 'random', split: 'test', count: 1024, classes },
      };
    }
    case 'cifar10':
      return openCifarIn(directoryOf(data), data.labels);
    case 'folder':
      return openFolder(directoryOf(data), { split: data.split, signal });
    case 'prepared':
      return openPrepared(directoryOf(data));
    case 'shards':
      return openShardsIn(directoryOf(data), data.split, signal);
  }
}

async function openShardsIn(
  place: string,
  split: number | undefined,
  signal: AbortSignal | undefined,
): Promise<Dataset> {
  const files = shardFilesAt(place);
  if (files === null) throw new UserError(`${place} has no tars and no Parquet files`);
  const { validation, test, ...opened } = await openShards(place, files, signal);
  if (test !== undefined && validation !== undefined) return { ...opened, validation, test };
  const heldOut = test ?? validation;
  if (heldOut !== undefined) return { ...opened, test: heldOut };
  if (split === undefined) {
    throw new UserError(
      `${place} has no labelled test set: add shards called val or test, or divide the images with --split 0.8`,
    );
  }
  const [train, rest] = divided(
    opened.train,
    (index) => labelOf(opened.train, index),
    1 - split,
    0,
  );
  return { ...opened, train, test: rest };
}

async function openCifarIn(directory: string, labels: CifarLabels = 'fine'): Promise<Dataset> {
  const place = existsSync(directory) ? cifarAt(directory) : null;
  if (place !== null) return openCifar(place, labels);
  throw new UserError(
    `${directory} has no data_batch_1.bin: --data takes a folder or an archive of CIFAR-10 or CIFAR-100, in the binary or the Python version`,
  );
}

function directoryOf(data: Pick<DataConfiguration, 'source' | 'directory'>): string {
  if (data.directory === null) {
    throw new UserError(`data.source is ${data.source}, which needs a folder: give --data DIR`);
  }
  return data.directory;
}
