/** The options that say what to train; their values are a `Recipe` of the library. */
import { presetNames } from '../configuration.js';
import { path, positiveNumber, share, text, texts, wholeNumber } from './option_kinds.js';

const group = 'Recipe:';

export const recipeOptions = {
  preset: text({ group, describe: `One of ${presetNames().join(', ')}` }),
  config: path({
    group,
    describe: "Configuration file to use instead of a preset, such as a run's config.json",
  }),
  data: path({
    group,
    describe:
      'Data folder: train/CLASS/ and test/CLASS/, CIFAR, shards, or made by data prepare (docs/data.md)',
  }),
  split: share({
    group,
    describe: 'Fraction of the images used for training, if the data folder has no test set',
  }),
  batch: wholeNumber(1, { group, describe: 'Batch size' }),
  accumulate: wholeNumber(1, {
    group,
    describe:
      'Sum the gradients of N batches per update, as one batch of N times the size (default 1)',
  }),
  learningRate: positiveNumber({ group, name: 'lr', describe: 'Learning rate' }),
  seed: wholeNumber(0, {
    group,
    describe: 'Seed of initial weights, order, augmentation and dropout',
  }),
  epochs: wholeNumber(1, { group, describe: 'Passes over the training images' }),
  steps: wholeNumber(1, { group, describe: 'Stop after this many steps, even within an epoch' }),
  towers: wholeNumber(1, {
    group,
    describe:
      "Number of towers, each with an equal share of every layer (default: one per device given, else the preset's)",
  }),
  settings: texts({
    group,
    name: 'set',
    describe: 'Set any field of the configuration: training.momentum=0.8; may be repeated',
  }),
};
