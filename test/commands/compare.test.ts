import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { loadConfiguration } from '../../src/configuration.js';
import { buildNetwork, exchangedBytes } from '../../src/model/network.js';
import type { ComparisonRow } from '../../src/training/comparison.js';
import { newFolder, succeeds, TINY, type Outcome } from './command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));

const STEPS = 5;
const COMPARE = ['compare', '--config', TINY, '--steps', `${STEPS}`];

interface Comparison {
  preset: string;
  batch: number;
  steps: number;
  rows: ComparisonRow[];
}

suite('compare --gpus 0,1 --json', () => {
  let comparison: Comparison;
  let rows: Record<string, ComparisonRow>;

  before(async () => {
    const { stdout } = await succeeds([...COMPARE, '--gpus', '0,1', '--json'], { cwd: folder });
    comparison = JSON.parse(stdout) as Comparison;
    rows = Object.fromEntries(comparison.rows.map((row) => [row.name, row]));
  });

  test('prints one object with the keys that are documented', () => {
    const { rows: compared, ...head } = comparison;
    assert.deepEqual(head, { preset: 'tiny', batch: 16, steps: STEPS });
    const keys =
      'name placement msPerStep imagesPerSecond speedup parts exchangeBytes workers'.split(' ');
    for (const row of compared) {
      assert.deepEqual(Object.keys(row), keys);
      assert.deepEqual(Object.keys(row.msPerStep).sort(), ['median', 'p10', 'p90']);
      const parts = 'forwardMs backwardMs exchangeCopyMs exchangeWaitMs updateMs'.split(' ');
      assert.deepEqual(Object.keys(row.parts), parts);
      for (const worker of row.workers) {
        assert.deepEqual(Object.keys(worker), ['device', 'parameters', 'peakBytes']);
      }
    }
  });

  test('compares split, grouped and dense', () => {
    const placements = comparison.rows.map(({ name, placement }) => [name, placement]);
    assert.deepEqual(placements, [
      ['split', [[0], [1]]],
      ['grouped', [[0, 1]]],
      ['dense', [[0]]],
    ]);
  });

  test('counts the bytes exchanged as the network does', () => {
    const { network, data, training } = loadConfiguration({ file: TINY });
    const expected = exchangedBytes(buildNetwork(network, 2, data.classes), training.batch);
    assert.equal(rows['split']!.exchangeBytes, expected);
    assert.equal(rows['grouped']!.exchangeBytes, 0);
    assert.equal(rows['dense']!.exchangeBytes, 0);
  });

  test('counts the parameters that each worker holds', () => {
    const { network, data } = loadConfiguration({ file: TINY });
    const count = (towers: number) => buildNetwork(network, towers, data.classes).parameterCount;
    const held = (name: string) => rows[name]!.workers.map(({ parameters }) => parameters);
    assert.deepEqual(held('split'), [count(2) / 2, count(2) / 2]);
    assert.deepEqual(held('grouped'), [count(2)]);
    assert.deepEqual(held('dense'), [count(1)]);
    // Weights, velocities and gradients at least: 12 bytes a parameter.
    for (const { workers } of comparison.rows) {
      for (const { parameters, peakBytes } of workers) assert.ok(peakBytes > 12 * parameters);
    }
  });

  test('divides a step into parts that are not longer than the step', () => {
    for (const { name, parts, msPerStep } of comparison.rows) {
      const sum = Object.values<number>({ ...parts }).reduce((total, part) => total + part, 0);
      assert.ok(Math.min(...Object.values<number>({ ...parts })) >= 0, name);
      // Medians of parts need not add up to the median of sums; they stay below the slowest steps.
      assert.ok(sum <= msPerStep.p90, `${name}: ${sum} of ${msPerStep.p90} ms`);
    }
  });

  test('orders its quantiles and derives speed and speed-up from the median', () => {
    for (const { msPerStep, imagesPerSecond, speedup } of comparison.rows) {
      assert.ok(msPerStep.p10 <= msPerStep.median && msPerStep.median <= msPerStep.p90);
      assert.equal(imagesPerSecond, (16 / msPerStep.median) * 1000);
      assert.equal(speedup, rows['dense']!.msPerStep.median / msPerStep.median);
    }
  });
});

suite('compare --gpus 0 in a narrow terminal', () => {
  let outcome: Outcome;

  before(async () => {
    const environment = { COLUMNS: '40' };
    outcome = await succeeds([...COMPARE, '--gpus', '0'], { cwd: folder, environment });
  });

  test('leaves out split and says why', () => {
    assert.match(outcome.stderr, /^split is left out: the towers have one device; try --gpus 0,1/m);
    assert.match(outcome.stdout, /grouped/);
    assert.match(outcome.stdout, /dense/);
    assert.doesNotMatch(outcome.stdout, /split/);
  });

  test('prints tables that fit', () => {
    const tables = outcome.stdout
      .split('\n')
      .filter((line) => /^(placement|grouped|dense)/.test(line));
    assert.ok(tables.length > 0);
    for (const line of tables) assert.ok(line.length <= 40, line);
  });
});
