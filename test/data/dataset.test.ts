import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DataConfiguration, DataSource } from '../../src/configuration.js';
import { openDataset } from '../../src/data/dataset.js';
import { UserError } from '../../src/errors.js';

const configuration = (source: DataSource, classes: number): DataConfiguration => ({
  source,
  directory: null,
  classes,
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
  view: { type: 'resize' },
  colour: null,
  flip: false,
});

test('the generated set has ten classes, 5,000 training and 1,000 test images', async () => {
  const { classes, train, test } = await openDataset(configuration('generated', 10));
  assert.deepEqual([new Set(classes).size, train.count, test.count], [10, 5000, 1000]);
});

test('random images have as many classes as the configuration says', async () => {
  assert.equal((await openDataset(configuration('random', 1000))).classes.length, 1000);
});

test('another number of classes than the configuration says is refused, naming both', async () => {
  await assert.rejects(openDataset(configuration('generated', 12)), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /10 classes.*data\.classes = 12.*set data\.classes to 10/);
    return true;
  });
});

for (const source of ['cifar10', 'folder'] as const) {
  test(`${source} without a directory asks for --data`, async () => {
    await assert.rejects(openDataset(configuration(source, 10)), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, new RegExp(`${source}.*--data DIR`));
      return true;
    });
  });
}
