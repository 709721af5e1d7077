import assert from 'node:assert/strict';
import { test } from 'node:test';
import { learningRateAt } from '../../src/training/schedule.js';
import { smallConfiguration } from '../parallel/two_placements.js';

const training = smallConfiguration(1, 1).training;

test('a constant schedule keeps the rate', () => {
  assert.equal(learningRateAt({ ...training, learningRate: 0.3 }, 50), 0.3);
});

test('steps divide the rate once each given number of epochs is done', () => {
  const schedule = { type: 'steps', at: [2, 5], factor: 0.1 } as const;
  const rates = [0, 1, 2, 4, 5, 9].map((epoch) =>
    learningRateAt({ ...training, learningRate: 1, schedule: { ...schedule, at: [2, 5] } }, epoch),
  );
  assert.deepEqual(
    rates.map((rate) => Number(rate.toPrecision(6))),
    [1, 1, 0.1, 0.1, 0.01, 0.01],
  );
});
