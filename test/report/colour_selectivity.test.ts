import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import sharp from 'sharp';
import {
  chanceOf,
  drawSelectivity,
  selectivityOf,
  separationOf,
  tableOf,
} from '../../scripts/colour_selectivity.js';
import { loadConfiguration } from '../../src/configuration.js';
import { writeCheckpoint } from '../../src/runs/checkpoint_writer.js';
import { newRunFolder, stateAt } from '../runs/some_run.js';
import { temporaryFolder } from '../runs/temporary.js';

test('towers are separated wholly if each kernel of one is more selective than each of the other', () => {
  assert.equal(
    separationOf([
      [0.1, 0.2, 0.3],
      [0.4, 0.9],
    ]),
    1,
  );
  assert.equal(
    separationOf([
      [0.4, 0.9],
      [0.1, 0.2, 0.3],
    ]),
    1,
  );
});

test('towers of the same kernels are not separated', () => {
  assert.equal(
    separationOf([
      [0.1, 0.5, 0.9],
      [0.1, 0.5, 0.9],
    ]),
    0.5,
  );
});

test('a separation counts pairs, and a tie as half of one', () => {
  // Of 0.5 > 0.1, 0.5 = 0.5, 0.2 > 0.1 and 0.2 < 0.5: two, a half and none.
  assert.equal(
    separationOf([
      [0.5, 0.2],
      [0.1, 0.5],
    ]),
    2.5 / 4,
  );
});

test('chance is small for separated towers and large for kernels that alternate', () => {
  const ascending = Array.from({ length: 32 }, (_, index) => index / 32);
  assert.equal(chanceOf([ascending.slice(0, 16), ascending.slice(16)]), 1 / 10_000);
  const [even, odd] = [0, 1].map((rest) => ascending.filter((_, index) => index % 2 === rest));
  const chance = chanceOf([even!, odd!]);
  // The share of all divisions of 32 into halves whose U is at most 120 or at least 136, counted by the recursion of
  // Mann and Whitney: 0.7804. Of 9,999 draws the share has a standard deviation of 0.004.
  assert.ok(Math.abs(chance - 0.7804) < 0.02, String(chance));
});

/** A run of the demo's 32 kernels: in tower 0 each is grey, in tower 1 a colour against another. */
function dividedRun(context: TestContext, towers: number): string {
  const path = join(temporaryFolder(context), 'run');
  const configuration = { ...loadConfiguration({ preset: 'demo' }), towers };
  const run = newRunFolder(path, configuration);
  const area = 25;
  const data = Float32Array.from({ length: 32 * 3 * area }, (_, index) => {
    const kernel = Math.floor(index / (3 * area));
    const channel = Math.floor(index / area) % 3;
    const weight = 1 + (index % area);
    return kernel < 16 ? weight : [weight, -weight, 0][channel]!;
  });
  const model = new Map([['conv1.weight', { shape: [32, 3, 5, 5], data }]]);
  const lock = { folder: path, text: 'ours' };
  writeFileSync(join(path, 'lock'), lock.text);
  const tensors = { model, optimizer: model };
  writeCheckpoint({ run, lock, state: stateAt(1), metricsBytes: 0, tensors });
  rmSync(join(path, 'lock'));
  return path;
}

test('a run has a line with the mean of each tower', async (context) => {
  const run = selectivityOf(dividedRun(context, 2));
  assert.equal(
    tableOf([{ ...run, path: 'made' }])
      .split('\n')
      .at(-1),
    '| made | 0.00 | 1.00 | 1.00 | 0.0001 |',
  );
  const { width, height } = await sharp(await drawSelectivity([run, run])).metadata();
  assert.ok(width > 600 && height > 100);
});

test('a run in one tower is refused', (context) => {
  const path = dividedRun(context, 1);
  assert.throws(() => selectivityOf(path), {
    message: `${path} has no two towers of kernels that read RGB images`,
  });
});
