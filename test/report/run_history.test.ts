import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { RunHistory } from '../../src/report/run_history.js';
import { testEvent, trainEvent } from '../runs/some_run.js';

/** Steps 1 to `count`, of which each has its number as its loss. */
function historyOf(count: number): RunHistory {
  const history = new RunHistory();
  for (let step = 1; step <= count; step++) history.visit({ ...trainEvent(step), loss: step });
  return history;
}

suite('the history of a run', () => {
  test('of few steps has each of them', () => {
    const history = historyOf(300);
    const points = history.curve(({ loss }) => loss);
    assert.deepEqual(
      points,
      Array.from({ length: 300 }, (_, index) => ({ step: index + 1, value: index + 1 })),
    );
    assert.deepEqual([history.samples.length, history.stepsPerPoint], [300, 1]);
  });

  test('of many steps has means of as many neighbours each', () => {
    const points = historyOf(800).curve(({ loss }) => loss);
    assert.deepEqual(points.slice(0, 2), [
      { step: 1.5, value: 1.5 },
      { step: 3.5, value: 3.5 },
    ]);
    assert.deepEqual([points.length, historyOf(800).stepsPerPoint], [400, 2]);
  });

  test('takes the same memory however many steps there are', () => {
    const history = historyOf(100_000);
    const points = history.curve(({ loss }) => loss);
    assert.ok(points.length > 200 && points.length <= 400, `${points.length} points`);
    assert.ok(history.samples.length <= 801, `${history.samples.length} samples`);
    assert.deepEqual([history.steps, history.last?.step], [100_000, 100_000]);
    // Whole groups, the last one aside, have the mean of their steps.
    const each = history.stepsPerPoint;
    points.slice(0, -1).forEach(({ step, value }, index) => {
      assert.ok(Math.abs(value - (index * each + (each + 1) / 2)) < 1e-6, `point ${index}`);
      assert.equal(step, value);
    });
  });

  test('keeps single steps as they were, evenly spaced', () => {
    const { samples } = historyOf(10_000);
    const gaps = new Set(samples.slice(1).map(({ step }, index) => step - samples[index]!.step));
    assert.deepEqual([...gaps], [16]);
  });

  test('has every test, and no skipped step', () => {
    const history = new RunHistory([trainEvent(1), testEvent(1), { event: 'skip' }]);
    assert.deepEqual(history.tests, [testEvent(1)]);
    assert.deepEqual(history.last, testEvent(1));
  });

  test('has a gap where a loss was not finite', () => {
    const history = new RunHistory([{ ...trainEvent(1), loss: NaN }, trainEvent(2)]);
    assert.ok(Number.isNaN(history.curve(({ loss }) => loss)[0]!.value));
  });

  test('begins again', () => {
    const history = historyOf(900);
    history.restart();
    assert.deepEqual(history, new RunHistory());
  });
});
