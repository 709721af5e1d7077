import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfiguration } from '../../src/configuration.js';
import { differBySeedAlone, sampleOf, seedsTable, seedsText } from '../../src/report/seeds.js';

test('the standard deviation is that of a sample, which divides by n - 1', () => {
  // NumPy: numpy.std([2, 4, 4, 4, 5, 5, 7, 9], ddof=1)
  const { mean, deviation, n } = sampleOf([2, 4, 4, 4, 5, 5, 7, 9]);
  assert.deepEqual([mean, n], [5, 8]);
  assert.ok(Math.abs(deviation! - 2.138089935299395) < 1e-15);
});

test('a single value has no standard deviation', () => {
  assert.deepEqual(sampleOf([0.5]), { mean: 0.5, deviation: null, n: 1 });
});

const tests = [0.86, 0.87, 0.88].map((top1) => ({ top1, top5: 0.99, loss: 0.4 }));

test('the table has each run, then mean and standard deviation of those that were tested', () => {
  const runs = [...tests, null].map((test, index) => ({ path: `runs/seed-${index}`, test }));
  assert.deepEqual(seedsText(runs, 80).split('\n'), [
    'run                   top-1    top-5    loss',
    'runs/seed-0         86.00 %  99.00 %  0.4000',
    'runs/seed-1         87.00 %  99.00 %  0.4000',
    'runs/seed-2         88.00 %  99.00 %  0.4000',
    'runs/seed-3               –        –       –',
    'mean, n = 3         87.00 %  99.00 %  0.4000',
    'standard deviation   1.00 %   0.00 %  0.0000',
  ]);
});

test('a single run has neither', () => {
  assert.equal(seedsText([{ path: 'a', test: tests[0]! }], 80).split('\n').length, 2);
  assert.equal(seedsTable(tests.slice(0, 1)), null);
});

test('runs are of one recipe if only their seeds differ', () => {
  const [one, two] = [1, 2].map((seed) =>
    loadConfiguration({ preset: 'demo', overrides: { training: { seed } } }),
  );
  assert.equal(differBySeedAlone([one!, two!]), true);
  assert.equal(differBySeedAlone([one!, one!]), false);
  assert.equal(differBySeedAlone([one!, { ...two!, towers: 1 }]), false);
  const other = { ...two!.network, layers: two!.network.layers.slice(1) };
  assert.equal(differBySeedAlone([one!, { ...two!, network: other }]), false);
});
