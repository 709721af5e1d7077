import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { compressed, curveOf, curveTable, testTable } from '../../scripts/results.js';
import { temporaryFolder } from '../runs/temporary.js';
import { writeRun } from './sample_runs.js';

/** Steps and a test per epoch; the last test has 23 of 30 images right, an error of 23.33 %. */
function run(context: TestContext, steps: number) {
  return curveOf(writeRun(join(temporaryFolder(context), 'run'), steps));
}

/** The sample run's accuracy at a step. */
const accuracy = (step: number, steps: number) => 1 - (2.3 * Math.exp(-step / steps)) / 2.5;

test('a row has the mean, the standard deviation and each of the complete runs', (context) => {
  const one = run(context, 40);
  const other = { ...one, lastTest: { ...one.lastTest!, top1: 0.8 } };
  const running = { ...one, isComplete: false };
  const rows = testTable([{ name: 'made', runs: [one, other, running] }]).split('\n');
  // Errors 23.333 and 20: mean 21.667, deviation 3.333 / √2 = 2.357.
  assert.match(rows[2]!, /^\| made \| \d+ \| 2 \| 21\.67 ± 2\.36 \| 23\.33, 20\.00 \| /);
});

test('a group without a complete run has no row', (context) => {
  const running = { ...run(context, 40), isComplete: false };
  assert.equal(testTable([{ name: 'made', runs: [running] }]).split('\n').length, 2);
});

test('a curve has the means of the steps of an epoch, and its test', (context) => {
  const one = run(context, 40);
  // Epoch 2 is steps 4 to 7; the test after step 8 counts as epoch 3.
  const mean = [4, 5, 6, 7].reduce((sum, step) => sum + accuracy(step, 40), 0) / 4;
  const [, , training, tests] = curveTable([{ name: 'made', runs: [one] }], [2, 3, 99]).split('\n');
  assert.ok(training!.startsWith(`| made, training | ${(100 * (1 - mean)).toFixed(2)} | `));
  assert.ok(tests!.includes(` ${(100 * (1 - accuracy(8, 40))).toFixed(2)} |  |`), tests);
});

test('what is kept of a run is a line per epoch and test, and the last test', (context) => {
  const one = run(context, 40);
  const lines = gunzipSync(compressed(one))
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; top1: number });
  assert.deepEqual(lines.slice(0, -1), one.lines);
  assert.deepEqual([lines.at(-1)!.event, lines.at(-1)!.top1], ['lastTest', 23 / 30]);
  assert.deepEqual(compressed(one), compressed(one));
});
