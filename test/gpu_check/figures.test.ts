/** What becomes of a part of the GPU check. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outcomeOf, Skipped } from '../../scripts/gpu_check/figures.js';
import type { Figure, Outcome } from '../../scripts/gpu_check/figures.js';
import { markdownOf } from '../../scripts/gpu_check/check_report.js';

const outcomeWith = (...figures: Figure[]): Promise<Outcome> =>
  outcomeOf(
    (report) => {
      figures.forEach(report);
      return Promise.resolve();
    },
    () => {},
  );

const bound = { atMost: 1e-5 };

test('a part whose figures are within bounds has passed', async () => {
  const outcome = await outcomeWith({ name: 'error', value: 1e-6, bound });
  assert.deepEqual(outcome, { state: 'passed', reason: null });
});

for (const value of [2e-5, NaN, 'none']) {
  test(`a part with the figure ${value} where at most 1e-5 is required has failed`, async () => {
    const good = { name: 'good', value: 0, bound };
    const { state, reason } = await outcomeWith({ name: 'error', value, bound }, good);
    assert.equal(state, 'failed');
    assert.equal(reason, 'out of bounds: error');
  });
}

test('a part that measured nothing has failed', async () => {
  assert.equal((await outcomeWith()).state, 'failed');
});

test('missing a target is no failure', async () => {
  const outcome = await outcomeWith({ name: 'speed', value: 1, target: { atLeast: 2 } });
  assert.equal(outcome.state, 'passed');
});

test('a part that throws has failed, or was skipped if it says so', async () => {
  const throwing = (error: Error) =>
    outcomeOf(
      () => Promise.reject(error),
      () => {},
    );
  const failed = await throwing(new Error('no memory'));
  assert.deepEqual(failed, { state: 'failed', reason: 'no memory' });
  const skipped = await throwing(new Skipped('no data'));
  assert.deepEqual(skipped, { state: 'skipped', reason: 'no data' });
});

test('the report has a line per figure, with what is required and aimed at beside it', () => {
  const text = markdownOf([
    {
      part: 'compare',
      state: 'failed',
      reason: 'out of bounds: error',
      seconds: 1.25,
      figures: [
        { name: 'error', value: 2e-5, bound },
        { name: 'dense', value: 21_000, unit: 'images/s', target: { atLeast: 20_000 } },
      ],
    },
  ]);
  assert.match(text, /^## Speed of the placements: failed, 1\.3 s \(out of bounds: error\)$/m);
  assert.match(text, /^- error: 2\.0e-5 \(required ≤ 1\.0e-5: NOT MET\)$/m);
  assert.match(text, /^- dense: 21,000 images\/s \(target ≥ 20,000: met\)$/m);
});
