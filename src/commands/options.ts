/**
 * The options that every command with a configuration shares, and the configuration that they ask for.
 *
 * Called by `train`, `compare`, `evaluate` and `plan`: a command spreads the options it takes from
 * `configurationOptions` into its builder and hands its arguments to `configurationFrom`.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Options } from 'yargs';
import {
  type Configuration,
  type DataConfiguration,
  loadConfiguration,
  presetNames,
} from '../configuration.js';
import { UserError } from '../errors.js';

// Every value is taken as text, so that a message can quote what was written; yargs would give NaN.
// Without a type, as the help text would call all of them strings.
const recipe = { group: 'Recipe:', requiresArg: true } as const;

export const configurationOptions = {
  preset: { ...recipe, describe: `One of ${presetNames().join(', ')}` },
  config: {
    ...recipe,
    describe: "Instead of a preset: a configuration file, such as a run's config.json",
  },
  data: {
    ...recipe,
    describe:
      'Folder with data_batch_1.bin … (CIFAR-10, binary version) or with train/CLASS/ and test/CLASS/',
  },
  batch: { ...recipe, describe: 'Images a step' },
  lr: { ...recipe, describe: 'Learning rate' },
  seed: { ...recipe, describe: 'Decides initial weights, order, augmentation and dropout' },
  epochs: { ...recipe, describe: 'Passes over the training images' },
  steps: { ...recipe, describe: 'Stop after so many steps, even inside an epoch' },
  towers: { ...recipe, describe: 'Equal shares of every layer; without it one a device' },
  set: {
    ...recipe,
    describe: 'Any field of the configuration: training.momentum=0.8; may be repeated',
  },
} as const satisfies Record<string, Options>;

/** What yargs makes of `configurationOptions`: an array where an option was given more than once. */
export type ConfigurationArguments = {
  [Name in keyof typeof configurationOptions]?: string | string[] | undefined;
};

/**
 * The configuration of `--preset` or `--config` with the other options over it. `--data` also decides
 * the source and the number of classes, and its folder becomes absolute; `--set` comes last.
 *
 * @throws UserError naming the option or the field, and what `loadConfiguration` throws
 */
export function configurationFrom(given: ConfigurationArguments): Configuration {
  const directory = single(given, 'data');
  return loadConfiguration({
    preset: single(given, 'preset'),
    file: single(given, 'config'),
    overrides: {
      towers: integer(given, 'towers', 1),
      data: directory === undefined ? undefined : dataAt(directory),
      training: {
        batch: integer(given, 'batch', 1),
        epochs: integer(given, 'epochs', 1),
        steps: integer(given, 'steps', 1),
        learningRate: positiveNumber(given, 'lr'),
        seed: integer(given, 'seed', 0),
      },
    },
    settings: given.set === undefined ? undefined : [given.set].flat(),
  });
}

function single(
  given: ConfigurationArguments,
  name: keyof ConfigurationArguments,
): string | undefined {
  const value = given[name];
  if (Array.isArray(value)) throw new UserError(`--${name} is given more than once; give it once`);
  return value;
}

function integer(
  given: ConfigurationArguments,
  name: keyof ConfigurationArguments,
  least: number,
): number | undefined {
  return wholeNumber(name, single(given, name), least);
}

/**
 * The whole number that `--name` gives; undefined where it is not given.
 *
 * @throws UserError naming the option, what it takes and what was given
 */
export function wholeNumber(
  name: string,
  value: string | undefined,
  least: number,
): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (value.trim() === '' || !Number.isSafeInteger(number) || number < least) {
    throw new UserError(`--${name} must be a whole number, at least ${least}; it is "${value}"`);
  }
  return number;
}

function positiveNumber(
  given: ConfigurationArguments,
  name: keyof ConfigurationArguments,
): number | undefined {
  const value = single(given, name);
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isFinite(number) || number <= 0) {
    throw new UserError(`--${name} must be a number above 0; it is "${value}"`);
  }
  return number;
}

/** Which of the two layouts a folder has. CIFAR-10's archive may also lie expanded inside it. */
function dataAt(directory: string): Pick<DataConfiguration, 'source' | 'directory' | 'classes'> {
  const root = resolve(directory);
  if (!isDirectory(root)) throw new UserError(`--data ${directory}: there is no such folder`);
  for (const batches of [root, join(root, 'cifar-10-batches-bin')]) {
    if (existsSync(join(batches, 'data_batch_1.bin'))) {
      return { source: 'cifar10', directory: batches, classes: 10 };
    }
  }
  const train = join(root, 'train');
  if (!isDirectory(train)) {
    throw new UserError(
      `--data ${directory}: neither data_batch_1.bin (CIFAR-10, binary version) nor train/CLASS/ is there`,
    );
  }
  const classes = readdirSync(train).filter((name) => isDirectory(join(train, name))).length;
  if (classes < 2) {
    throw new UserError(
      `--data ${directory}: train/ has ${classes} class folders; at least 2 are needed`,
    );
  }
  return { source: 'folder', directory: root, classes };
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
