import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TrainingConfiguration } from '../../src/configuration.js';
import { buildNetwork } from '../../src/model/network.js';
import {
  plateauAfter,
  checkEvents,
  learningRateAt,
  multiplierAt,
} from '../../src/training/schedule.js';
import type { PlateauState } from '../../src/runs/progress.js';
import { smallConfiguration } from '../parallel/two_placements.js';

const { training, network: specification } = smallConfiguration(1, 1);
const network = buildNetwork(specification, 1, 8);

/** Rates of 1 and below, without what powers of 0.1 leave in the last digits. */
const rounded = (rates: number[]): number[] => rates.map((rate) => Number(rate.toPrecision(6)));

test('a constant schedule keeps the rate', () => {
  assert.equal(learningRateAt({ ...training, learningRate: 0.3 }, 50), 0.3);
});

test('steps divide the rate once each given number of epochs is done', () => {
  const schedule = { type: 'steps', at: [2, 5], factor: 0.1 } as const;
  const rates = [0, 1, 2, 4, 5, 9].map((epoch) =>
    learningRateAt({ ...training, learningRate: 1, schedule: { ...schedule, at: [2, 5] } }, epoch),
  );
  assert.deepEqual(rounded(rates), [1, 1, 0.1, 0.1, 0.01, 0.01]);
});

describe('a plateau', () => {
  const onPlateau: TrainingConfiguration = {
    ...training,
    learningRate: 1,
    schedule: { type: 'plateau', factor: 0.1, patience: 2, drops: 2 },
  };

  /** The rate of each epoch after these tests. */
  function ratesAfter(tests: number[]): number[] {
    let state: PlateauState | undefined;
    const rates = tests.map((top1, epoch) => {
      state = plateauAfter(onPlateau, state, top1);
      return learningRateAt(onPlateau, epoch + 1, state);
    });
    return rounded(rates);
  }

  test('divides the rate after as many tests in a row without a better one as its patience', () => {
    assert.deepEqual(ratesAfter([0.3, 0.3, 0.4, 0.3, 0.4, 0.5]), [1, 1, 1, 1, 0.1, 0.1]);
  });

  test('waits as long again after each division, and stops at its number of them', () => {
    assert.deepEqual(
      ratesAfter([0.3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]),
      [1, 1, 0.1, 0.1, 0.01, 0.01, 0.01],
    );
  });

  test('is nothing that another schedule remembers', () => {
    assert.equal(plateauAfter(training, undefined, 0.5), undefined);
  });
});

describe('the multiplier of a parameter', () => {
  const [weight, bias] = network.parameters as [
    (typeof network.parameters)[0],
    (typeof network.parameters)[0],
  ];
  const events = [
    { epoch: 3, layer: 'conv1', weight: 0.1 },
    { epoch: 5, layer: 'conv1', weight: 0, bias: 0 },
    { epoch: 1, layer: 'conv2', weight: 7, bias: 7 },
  ];
  const multipliers = (parameter: typeof weight, epochs: number[], rate = training.learningRate) =>
    epochs.map((epoch) => multiplierAt({ ...training, events }, parameter, epoch, rate));

  test('is its own until an event names its layer, from whose epoch on it is the event’s', () => {
    assert.deepEqual(multipliers(weight, [0, 2, 3, 4, 5, 6]), [1, 1, 0.1, 0.1, 0, 0]);
  });

  test('follows the events by their epochs, in whatever order they stand', () => {
    const turned = { ...training, events: events.toReversed() };
    const at = (epoch: number) => multiplierAt(turned, weight, epoch, training.learningRate);
    assert.deepEqual([2, 3, 5, 6].map(at), [1, 0.1, 0, 0]);
  });

  test('stays where an event names only the layer’s other parameter', () => {
    assert.deepEqual(multipliers(bias, [0, 3, 5]), [2, 2, 0]);
  });

  test('makes up for a fallen rate where the parameter does not follow the schedule', () => {
    const fixed = { ...bias, followsSchedule: false };
    const rate = training.learningRate / 100;
    const [multiplier] = multipliers(fixed, [0], rate) as [number];
    assert.ok(Math.abs(multiplier * rate - 2 * training.learningRate) < 1e-12, `${multiplier}`);
  });
});

test('an event of a layer without parameters is refused by name', () => {
  const events = [{ epoch: 3, layer: 'relu1', weight: 0 }];
  assert.throws(() => checkEvents({ ...training, events }, network), {
    name: 'UserError',
    message: /no layer "relu1" has parameters to change at epoch 3; there are conv1, conv2,/,
  });
});
