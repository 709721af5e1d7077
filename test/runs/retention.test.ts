import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { stepsToRemove } from '../../src/runs/retention.js';

/** Checkpoints by their steps; a `t` marks one that was tested. */
function checkpoints(text: string) {
  return text
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => ({ step: parseInt(word), isTested: word.endsWith('t') }));
}

const ROWS: [why: string, there: string, best: number | null, removed: number[]][] = [
  ['none', '', null, []],
  ['three stay', '1 2 3', null, []],
  ['the oldest of four goes', '1 2 3 4', null, [1]],
  ['the best stays', '1 2 3 4 5', 2, [1]],
  ['the newest tested one stays though later ones push it out', '1t 2t 3 4 5', null, [1]],
  ['the best and the newest tested one both stay', '1t 2t 3t 4 5 6', 1, [2]],
  ['a tested one among the newest three lets earlier ones go', '1t 2 3 4t 5', null, [1, 2]],
  ['a best one whose checkpoint is gone changes nothing', '2 3 4 5', 1, [2]],
  ['steps count as numbers, in any order', '10 9 100 8', null, [8]],
];

suite('retention', () => {
  for (const [why, there, best, removed] of ROWS) {
    test(why, () => assert.deepEqual(stepsToRemove(checkpoints(there), best), removed));
  }
});
