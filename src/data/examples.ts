/** A data set as decoders get it: plain data, of which each thread has a clone that shares the large arrays. */
import { type Cifar10Set, RECORD } from './cifar10.js';
import { pathAt } from './file_list.js';
import type { FolderSet } from './folder.js';
import { GENERATED_CLASSES, type GeneratedSet } from './generated.js';
import { placeOf } from './part.js';
import { type PackedSet, nameInShards } from './packed.js';
import type { ParquetSet } from './parquet.js';
import type { RandomSet } from './random_images.js';
import type { DatasetStatistics } from './statistics.js';

/** The examples of one split: how many there are (`count`), and where the decoders find them. */
export type ExampleSet = GeneratedSet | Cifar10Set | FolderSet | PackedSet | ParquetSet | RandomSet;

export interface Dataset {
  /** Names, by label. */
  classes: string[];
  train: ExampleSet;
  test: ExampleSet;
  /** Labelled images that the tests of a run see in place of the test set; undefined if there are none. */
  validation?: ExampleSet;
  /** The training images with the validation images that were taken from them; undefined if none were. */
  undivided?: ExampleSet;
  /** Label in the network by label in the sets, if they differ; see classes.ts. */
  relabelled?: number[];
  /** What was left out, or understood in one of several ways: a line each. */
  notices?: string[];
  /** Statistics of the training images, if the data set was prepared. */
  statistics?: DatasetStatistics;
}

/** Whether its images are encoded, such as JPEGs. */
export function isEncoded({ train }: Pick<Dataset, 'train'>): boolean {
  return ['folder', 'prepared', 'tar', 'parquet'].includes(train.kind);
}

/** The label of an example; 0 for all examples of noise, whose labels are drawn when they are needed. */
export function labelOf(set: ExampleSet, index: number): number {
  const place = placeOf(set, index);
  switch (set.kind) {
    case 'generated':
      return place % GENERATED_CLASSES.length;
    case 'random':
      return 0;
    case 'cifar10':
      return new Uint8Array(set.records)[place * RECORD]!;
    default:
      return set.labels[place]!;
  }
}

/** What messages call an example of a split, such as its file. */
export function nameOfExample(set: ExampleSet, index: number): string {
  const place = placeOf(set, index);
  switch (set.kind) {
    case 'folder':
      return pathAt(set.files, place);
    case 'prepared':
    case 'tar':
    case 'parquet':
      return nameInShards(set, place);
    default:
      return `example ${place} of the ${set.kind} data set`;
  }
}
