import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluationText, testText } from '../../src/report/test_result.js';

const result = {
  loss: 0.5,
  top1: 0.75,
  top5: 1,
  images: 4,
  crops: 10,
  classes: ['cat', 'dog'],
  perClass: [2 / 3, 1],
  confusion: [
    [2, 1],
    [0, 1],
  ],
};

test('few classes have their confusion matrix below the totals', () => {
  assert.deepEqual(testText(result, 80).split('\n'), [
    'top-1 75.00 %  top-5 100.00 %  loss 0.5000  4 images  10 crops',
    '',
    'class     right  as 0  as 1',
    '0 cat   66.67 %     2     1',
    '1 dog  100.00 %     0     1',
  ]);
});

test('a thousand classes have the totals alone', () => {
  const classes = Array.from({ length: 1000 }, (_, label) => `class ${label}`);
  const [totals, more, ...others] = testText({ ...result, crops: 1, classes }, 80).split('\n');
  assert.match(totals!, /^top-1/);
  assert.match(more!, /^--json has each class's accuracy .* of all 1,000$/);
  assert.deepEqual(others, []);
});

test('an average of runs has each of them above it', () => {
  const runs = ['runs/a', 'runs/b'].map((path) => ({ path, loss: 0.6, top1: 0.5, top5: 0.9 }));
  assert.deepEqual(
    evaluationText({ ...result, runs }, 80)
      .split('\n')
      .slice(0, 6),
    [
      'run             top-1     top-5    loss',
      'runs/a        50.00 %   90.00 %  0.6000',
      'runs/b        50.00 %   90.00 %  0.6000',
      'average of 2  75.00 %  100.00 %  0.5000',
      '',
      'top-1 75.00 %  top-5 100.00 %  loss 0.5000  4 images  10 crops',
    ],
  );
});
