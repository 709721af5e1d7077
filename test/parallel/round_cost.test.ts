/** What the parts of a round cost, by a device's clock that goes on by one millisecond with each mark. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceTimer } from '../../src/backend/capabilities.js';
import { RoundCost } from '../../src/parallel/round_cost.js';

function steadyTimer(released: bigint[] = []): DeviceTimer {
  let marks = 0n;
  return {
    mark: () => ++marks,
    elapsedMs: (from, to) => Number(to - from),
    release: (given) => released.push(...given),
    synchronize: () => undefined,
  };
}

test('parts count in the phase in which they were spent', () => {
  const cost = new RoundCost(steadyTimer());
  cost.begin();
  cost.spend('copyMs', () => cost.now());
  const forward = cost.endPhase();
  cost.spend('waitMs', () => undefined);
  const backward = cost.endPhase();
  assert.equal(cost.between(forward, backward), 3);
  assert.deepEqual(cost.spent(0), { copyMs: 2, waitMs: 0, hostsWaitMs: 0, sumsWaitMs: 0 });
  assert.deepEqual(cost.spent(1), { copyMs: 0, waitMs: 1, hostsWaitMs: 0, sumsWaitMs: 0 });
  assert.deepEqual(cost.spent(), { copyMs: 2, waitMs: 1, hostsWaitMs: 0, sumsWaitMs: 0 });
});

test('a round that does recorded work counts its parts and its pauses in their phases', () => {
  const cost = new RoundCost(steadyTimer());
  const wait = (): void => cost.spend('waitMs', () => undefined);
  const { work: pauses, hasDone } = cost.keeping(() => {
    const inForward = cost.inThisPhase(wait);
    cost.spend('copyMs', () => cost.now());
    cost.endPhase();
    return [inForward, cost.inThisPhase(wait)];
  });
  const counts = [1, 2].map(() => {
    cost.begin();
    pauses.forEach((pause) => pause());
    hasDone();
    wait();
    return [0, 1].map((phase) => cost.spent(phase));
  });
  const nothingElse = { hostsWaitMs: 0, sumsWaitMs: 0 };
  const each = [
    { copyMs: 2, waitMs: 1, ...nothingElse },
    { copyMs: 0, waitMs: 2, ...nothingElse },
  ];
  assert.deepEqual(counts, [each, each]);
});

test('recorded work costs the round in which it is recorded nothing', () => {
  const cost = new RoundCost(steadyTimer());
  cost.begin();
  cost.spend('waitMs', () => undefined);
  cost.keeping(() => {
    cost.spend('copyMs', () => undefined);
    cost.endPhase();
  });
  cost.spend('waitMs', () => undefined);
  assert.deepEqual(cost.spent(0), { copyMs: 0, waitMs: 2, hostsWaitMs: 0, sumsWaitMs: 0 });
});

test('the marks of recorded work are used again once it is forgotten', () => {
  const released: bigint[] = [];
  const cost = new RoundCost(steadyTimer(released));
  cost.begin();
  cost.now();
  const { release } = cost.keeping(() => cost.spend('copyMs', () => undefined));
  cost.begin();
  assert.deepEqual(released, [1n]);
  release();
  assert.deepEqual(released, [1n, 2n, 3n]);
});
