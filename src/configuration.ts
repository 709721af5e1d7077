/**
 * The configuration of a run: a preset or a file, checked against `config/schema.json`, with the
 * command line's overrides applied. The resolved form is what `config.json` in a run folder holds and
 * what everything else reads; it is itself a valid configuration file.
 */
import type { NetworkSpecification } from './model/layers.js';

/** Learning rate over time: `learningRate` × factor^(number of `at` epochs already completed). */
export type Schedule = { type: 'constant' } | { type: 'steps'; at: number[]; factor: number };

export type DataSource =
  /** Drawn shapes and textures, 10 classes, 32×32. */
  | 'generated'
  /** CIFAR-10's binary layout in `directory`. */
  | 'cifar10'
  /** `train/CLASS/*` and `test/CLASS/*` in `directory`. */
  | 'folder'
  /** Uniform noise with random labels, for timing. */
  | 'random';

export interface DataConfiguration {
  source: DataSource;
  /** Where `cifar10` and `folder` lie; null for the others. */
  directory: string | null;
  classes: number;
  /** Pixels are (value / 255 − mean) / std, per channel. */
  mean: [number, number, number];
  std: [number, number, number];
  /** Random crop of the training image after padding each side by this many black pixels; null: none. */
  cropPad: number | null;
  /** Mirror half of the training images, at random. */
  flip: boolean;
}

export interface TrainingConfiguration {
  batch: number;
  epochs: number;
  /** Stops after this many steps, whatever the epoch; null: no such limit. */
  steps: number | null;
  learningRate: number;
  momentum: number;
  weightDecay: number;
  schedule: Schedule;
  seed: number;
}

export interface Configuration {
  /** The preset it came from, or the file's name. */
  name: string;
  /** Source of the recipe, and what differs from it. */
  comment: string;
  towers: number;
  network: NetworkSpecification;
  data: DataConfiguration;
  training: TrainingConfiguration;
}
