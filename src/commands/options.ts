/**
 * The options that every command with a configuration shares, and the recipe that they ask for.
 *
 * Called by `train`, `compare`, `evaluate` and `plan`: a command spreads the options it takes from
 * `configurationOptions` into its builder and hands its arguments to `recipeFrom`.
 */
import type { Options } from 'yargs';
import { presetNames } from '../configuration.js';
import { UserError } from '../errors.js';
import type { Recipe } from '../library/recipe.js';

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
  towers: {
    ...recipe,
    describe:
      "Equal shares of every layer; without it one for each device that is named, else the preset's",
  },
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
 * The recipe that the options name, their text parsed.
 *
 * @throws UserError naming the option
 */
export function recipeFrom(given: ConfigurationArguments): Recipe {
  return {
    preset: single(given, 'preset'),
    config: single(given, 'config'),
    data: single(given, 'data'),
    towers: integer(given, 'towers', 1),
    batch: integer(given, 'batch', 1),
    epochs: integer(given, 'epochs', 1),
    steps: integer(given, 'steps', 1),
    learningRate: positiveNumber(given, 'lr'),
    seed: integer(given, 'seed', 0),
    settings: given.set === undefined ? undefined : [given.set].flat(),
  };
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
