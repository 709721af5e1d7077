import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, describe, test } from 'node:test';
import type { Configuration } from '../../src/configuration.js';
import { parsed } from '../../src/commands/option_table.js';
import { recipeOptions } from '../../src/commands/recipe_options.js';
import { UserError } from '../../src/errors.js';
import { configurationOf } from '../../src/library/recipe.js';

const folder = mkdtempSync(join(tmpdir(), 'twotower-options-'));
after(() => rmSync(folder, { recursive: true }));

/** What was typed for each option, an array if it was repeated. */
type Typed = Record<string, string | string[]>;

/** The configuration that the options come to. */
function configurationFrom(given: Typed): Configuration {
  return configurationOf(parsed(recipeOptions, given));
}

function refuses(given: Typed, message: RegExp): void {
  assert.throws(
    () => configurationFrom({ preset: 'demo', ...given }),
    (error) => error instanceof UserError && message.test(error.message),
  );
}

describe('named options', () => {
  test('reach their fields', () => {
    const { towers, training } = configurationFrom({
      preset: 'demo',
      towers: '1',
      batch: '32',
      lr: '1e-3',
      seed: '0',
      epochs: '7',
      steps: '12',
    });
    assert.equal(towers, 1);
    assert.equal(training.batch, 32);
    assert.equal(training.learningRate, 0.001);
    assert.equal(training.seed, 0);
    assert.equal(training.epochs, 7);
    assert.equal(training.steps, 12);
  });

  test('leave the preset as it is where they are not given', () => {
    const { training } = configurationFrom({ preset: 'demo' });
    assert.equal(training.batch, 64);
    assert.equal(training.steps, null);
  });

  for (const name of ['batch', 'epochs', 'steps', 'towers'] as const) {
    for (const value of ['0', '-3', '2.5', 'many', '', ' ', 'Infinity']) {
      test(`--${name} "${value}" is refused`, () => {
        refuses({ [name]: value }, new RegExp(`^--${name} must be a whole number, at least 1; `));
      });
    }
  }

  for (const value of ['-1', '0.5', '9007199254740992']) {
    test(`--seed "${value}" is refused`, () => {
      refuses({ seed: value }, /^--seed must be a whole number, at least 0; /);
    });
  }

  for (const value of ['0', '-0.1', 'fast', '', 'Infinity']) {
    test(`--lr "${value}" is refused`, () => {
      refuses({ lr: value }, /^--lr must be a number above 0; /);
    });
  }

  test('given twice are refused', () => {
    refuses({ batch: ['3', '4'] }, /^--batch is given more than once; /);
  });
});

describe('--set', () => {
  test('applies once given', () => {
    assert.equal(configurationFrom({ preset: 'demo', set: 'data.flip=true' }).data.flip, true);
  });

  test('applies each time it is given, over the named options', () => {
    const { data, training } = configurationFrom({
      preset: 'demo',
      batch: '3',
      set: ['data.flip=true', 'training.batch=5'],
    });
    assert.equal(data.flip, true);
    assert.equal(training.batch, 5);
  });
});

describe('--data', () => {
  const cifar = join(folder, 'cifar');
  const expanded = join(cifar, 'cifar-10-batches-bin');
  mkdirSync(expanded, { recursive: true });
  writeFileSync(join(expanded, 'data_batch_1.bin'), '');
  const images = join(folder, 'images');
  for (const label of ['a', 'b', 'c']) mkdirSync(join(images, 'train', label), { recursive: true });
  writeFileSync(join(images, 'train', 'list.txt'), '');
  const single = join(folder, 'single');
  mkdirSync(join(single, 'train', 'a'), { recursive: true });
  const empty = join(folder, 'empty');
  mkdirSync(empty);
  const dataOf = (data: string) => {
    const { source, directory, classes } = configurationFrom({
      preset: 'alexnet-paper',
      data,
    }).data;
    return { source, directory, classes };
  };

  test('with data_batch_1.bin is CIFAR-10', () => {
    assert.deepEqual(dataOf(expanded), { source: 'cifar10', directory: expanded, classes: 10 });
  });

  test('with cifar-10-batches-bin inside is CIFAR-10 there', () => {
    assert.deepEqual(dataOf(cifar), { source: 'cifar10', directory: expanded, classes: 10 });
  });

  test('with train/ is a folder with as many classes as train/ has folders', () => {
    assert.deepEqual(dataOf(images), { source: 'folder', directory: images, classes: 3 });
  });

  test('is kept as an absolute path, so that a run can be resumed from anywhere', () => {
    assert.equal(dataOf(relative(process.cwd(), images)).directory, images);
  });

  test('that is not there is refused', () => {
    refuses({ data: join(folder, 'absent') }, /^--data .*absent: there is no such folder or file$/);
  });

  test('that is a file is refused', () => {
    refuses(
      { data: join(expanded, 'data_batch_1.bin') },
      /data_batch_1\.bin: it contains no data set; /,
    );
  });

  test('of neither layout is refused with what was looked for', () => {
    refuses(
      { data: empty },
      /^--data .*empty: it contains no data set; it must be .*train\/CLASS\/.*data_batch_1\.bin/,
    );
  });

  test('with fewer than two classes is refused', () => {
    refuses({ data: single }, /^--data .*single: .*train has 1 class folders; /);
  });
});
