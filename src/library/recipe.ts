/**
 * What to train, as a caller of the library says it, and the configuration that it resolves to. Called by
 * the library's functions, and by the commands for what they have parsed.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadConfiguration } from '../configuration.js';
import type { Configuration, DataConfiguration, Overrides } from '../configuration.js';
import { isPrepared, readManifest } from '../data/prepared.js';
import { UserError } from '../errors.js';

/** A preset or a configuration file, with changes over it. */
export interface Recipe {
  /** `demo`, `cifar10-quick`, `cifar10-seed`, `alexnet-paper` … Either this or `config`. */
  preset?: string | undefined;
  /** Path of a configuration file, such as a run's `config.json`. */
  config?: string | undefined;
  /** Folder with CIFAR-10's binary files, with `train/CLASS/` and `test/CLASS/`, or prepared. */
  data?: string | undefined;
  /** Images a step. */
  batch?: number | undefined;
  /** Passes over the training images. */
  epochs?: number | undefined;
  /** Stop after so many steps, even inside an epoch. */
  steps?: number | undefined;
  learningRate?: number | undefined;
  /** Decides initial weights, order, augmentation and dropout. */
  seed?: number | undefined;
  /** Equal shares of every layer; without it one for each device that is named, else the preset's. */
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
  const { preset, config, data, batch, epochs, steps, learningRate, seed, towers } = recipe;
  const { overrides = {}, settings } = recipe;
  const training = { batch, epochs, steps, learningRate, seed };
  return loadConfiguration({
    preset,
    file: config,
    overrides: {
      ...overrides,
      ...(towers !== undefined && { towers }),
      data: { ...overrides.data, ...(data !== undefined && dataAt(data)) },
      training: {
        ...overrides.training,
        ...Object.fromEntries(Object.entries(training).filter(([, value]) => value !== undefined)),
      },
    },
    settings,
  });
}

/** Which of the layouts a folder has. CIFAR-10's archive may also lie expanded inside it. */
export function dataAt(
  directory: string,
): Pick<DataConfiguration, 'source' | 'directory' | 'classes'> {
  const root = resolve(directory);
  if (!isDirectory(root)) throw new UserError(`--data ${directory}: there is no such folder`);
  for (const batches of [root, join(root, 'cifar-10-batches-bin')]) {
    if (existsSync(join(batches, 'data_batch_1.bin'))) {
      return { source: 'cifar10', directory: batches, classes: 10 };
    }
  }
  if (isPrepared(root)) {
    return { source: 'prepared', directory: root, classes: readManifest(root).classes.length };
  }
  const train = join(root, 'train');
  if (!isDirectory(train)) {
    throw new UserError(
      `--data ${directory}: neither data_batch_1.bin (CIFAR-10, binary version) nor train/CLASS/ nor prepared.json (twotower data prepare) is there`,
    );
  }
  // Counted as openFolder lists them.
  const classes = readdirSync(train).filter(
    (name) => !name.startsWith('.') && isDirectory(join(train, name)),
  ).length;
  if (classes < 2) {
    throw new UserError(
      `--data ${directory}: train/ has ${classes} class folders; at least 2 are needed`,
    );
  }
  return { source: 'folder', directory: root, classes };
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    // Not there, or a link that leads nowhere: who opens the data set says so.
    return false;
  }
}
