import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takeTurns } from '../../src/training/comparison.js';

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
