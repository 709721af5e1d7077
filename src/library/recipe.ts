/** What to train, as a caller of the library says it, and the configuration that it resolves to. */
import { loadConfiguration } from '../configuration.js';
import type { Configuration, Overrides } from '../configuration.js';
import { dataAt } from '../data/locate.js';

/** A preset or a configuration file, with changes over it. */
export interface Recipe {
  /** `demo`, `cifar10-quick`, `cifar10-seed`, `alexnet-paper` … Either this or `config`. */
  preset?: string | undefined;
  /** Path of a configuration file, such as a run's `config.json`. */
  config?: string | undefined;
  /** Folder with CIFAR-10's binary files, with `train/CLASS/` and `test/CLASS/`, or prepared. */
  data?: string | undefined;
  /** Share of each class that is for training, 0 to 1, if `data` has no test set. */
  split?: number | undefined;
  /** Images a step, or a part of it if `accumulate` is given. */
  batch?: number | undefined;
  /** Batches whose gradients make one update (default 1). */
  accumulate?: number | undefined;
  /** Passes over the training images. */
  epochs?: number | undefined;
  /** Stop after so many steps, even inside an epoch. */
  steps?: number | undefined;
  learningRate?: number | undefined;
  /** Decides initial weights, order, augmentation and dropout. */
  seed?: number | undefined;
  /** Number of towers, each with an equal share of every layer (default: one per device given, else the preset's). */
  towers?: number | undefined;
  /** Any fields of the configuration. */
  overrides?: Overrides | undefined;
  /** `FIELD=VALUE` each, as `--set` takes them; applied last. */
  settings?: string[] | undefined;
}

/** Whether the towers are asked for, beside what a preset or a file has. */
export function asksForTowers({ towers, overrides, settings = [] }: Recipe): boolean {
  const isSet = settings.some((setting) => setting.startsWith('towers='));
  return towers !== undefined || overrides?.towers !== undefined || isSet;
}

/**
 * The preset or file with the recipe's other fields over it. `data` also decides the source and the
 * number of classes, and its folder becomes absolute.
 *
 * @throws UserError naming the field, and what `loadConfiguration` throws
 */
export function configurationOf(recipe: Recipe): Configuration {
  const { preset, config, data, split, batch, accumulate, epochs, steps, towers } = recipe;
  const { learningRate, seed, overrides = {}, settings } = recipe;
  const training = { batch, accumulate, epochs, steps, learningRate, seed };
  return loadConfiguration({
    preset,
    file: config,
    overrides: {
      ...overrides,
      ...(towers !== undefined && { towers }),
      data: {
        ...overrides.data,
        ...(data !== undefined && dataAt(data)),
        ...(split !== undefined && { split }),
      },
      training: {
        ...overrides.training,
        ...Object.fromEntries(Object.entries(training).filter(([, value]) => value !== undefined)),
      },
    },
    settings,
  });
}
