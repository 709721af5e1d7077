import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RunEvents, compare } from '../../src/index.js';
import { Coordinator } from '../../src/parallel/coordinator.js';
import { takeTurns } from '../../src/training/comparison.js';
import { TINY } from '../commands/command_line.js';

test('contenders take their turns one after another, another of them first each time', async () => {
  const turns: string[] = [];
  let underWay = 0;
  const contender = (name: string) => ({
    turn: async () => {
      assert.equal(++underWay, 1);
      await Promise.resolve();
      turns.push(name);
      underWay--;
    },
  });
  const shares: number[] = [];
  await takeTurns(['a', 'b', 'c'].map(contender), 4, (done) => shares.push(done));
  assert.equal(turns.join(''), 'abcbcacababc');
  assert.deepEqual(
    shares,
    turns.map((_, index) => (index + 1) / 12),
  );
});

test('a comparison that is given up while a placement opens takes no step', async (context) => {
  const step = context.mock.method(Coordinator.prototype, 'step');
  const controller = new AbortController();
  const events = new RunEvents();
  events.on('warmUp', () => controller.abort(new Error('stop')));
  const { signal } = controller;
  await assert.rejects(compare({ config: TINY, cpu: 2, events, signal }), { message: 'stop' });
  assert.equal(step.mock.callCount(), 0);
});
