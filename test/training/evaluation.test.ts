/** The averaged probabilities are PyTorch's: see scripts/golden_views.py. */
import { World } from '../../src/parallel/world.js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BatchRing } from '../../src/data/batches.js';
import type { Coordinator } from '../../src/parallel/coordinator.js';
import { Scores, runTest } from '../../src/training/evaluation.js';
import { golden } from '../data/golden_views.js';

const names = (count: number) => Array.from({ length: count }, (_, label) => `class ${label}`);

/** Scores of images of one view each. */
function scoresOf(images: [logits: number[], label: number][]) {
  const scores = new Scores(names(images[0]![0].length), 1);
  images.forEach(([logits, label]) => scores.add(Float32Array.from(logits), label));
  return scores.result();
}

test("ten views' loss and ranks are those of the probabilities that PyTorch averages", () => {
  const { logits, labels, probabilities, loss } = golden.averaging;
  const scores = new Scores(names(probabilities[0]!.length), 10);
  logits.forEach((views, image) =>
    views.forEach((view) => scores.add(Float32Array.from(view), labels[image]!)),
  );
  const result = scores.result();
  // Both in doubles, of logits that are the same float32.
  assert.ok(Math.abs(result.loss - loss) < 1e-12, `${result.loss}, not ${loss}`);
  const ranks = probabilities.map((row, image) => {
    const own = row[labels[image]!]!;
    return row.filter((probability) => probability > own).length;
  });
  assert.deepEqual(
    [result.images, result.top1, result.top5],
    [2, ranks.filter((rank) => rank < 1).length / 2, ranks.filter((rank) => rank < 5).length / 2],
  );
  const predicted = probabilities.map((row) => row.indexOf(Math.max(...row)));
  labels.forEach((label, image) => assert.equal(result.confusion[label]![predicted[image]!], 1));
});

test('averaging can change what a majority of the views say', () => {
  const scores = new Scores(names(2), 10);
  for (let view = 0; view < 10; view++) {
    // Six views slightly for class 0, four surely for class 1.
    scores.add(Float32Array.of(view < 6 ? 0.2 : -9, 0), 1);
  }
  assert.equal(scores.result().top1, 1);
});

test('the confusion matrix counts images by class and prediction', () => {
  const { confusion } = scoresOf([
    [[3, 1, 0], 0],
    [[0, 1, 2], 0],
    [[0, 1, 2], 0],
    [[0, 1, 2], 2],
  ]);
  assert.deepEqual(confusion, [
    [1, 0, 2],
    [0, 0, 0],
    [0, 0, 1],
  ]);
});

test("each class's accuracy is the share of its own images, null without any", () => {
  const { perClass } = scoresOf([
    [[3, 1, 0], 0],
    [[0, 1, 2], 0],
    [[0, 1, 2], 2],
  ]);
  assert.deepEqual(perClass, [0.5, null, 1]);
});

test('a tie counts against the label, in top-1 as in the confusion matrix', () => {
  const { top1, confusion } = scoresOf([[[1, 1, 0], 0]]);
  assert.deepEqual([top1, confusion[0]], [0, [0, 1, 0]]);
});

test('logits that are not numbers count against the label', () => {
  const { top1, top5, confusion } = scoresOf([[[NaN, NaN, NaN, NaN, NaN, NaN], 1]]);
  assert.deepEqual([top1, top5, confusion[1]], [0, 0, [1, 0, 0, 0, 0, 0]]);
});

test('a loss that no double holds as a probability stays finite', () => {
  assert.equal(scoresOf([[[2000, 0], 1]]).loss, 2000);
});

/** A ring of `images` images of class 0, one per batch, and a coordinator that takes each for class 0. */
function testOf(images: number): { coordinator: Coordinator; ring: BatchRing } {
  const batches = Array.from({ length: images }, (_, index) => ({
    labels: new SharedArrayBuffer(4),
    count: 1,
    index,
    release: () => {},
  }));
  const ring = { test: () => batches, testCount: () => images } as unknown as BatchRing;
  const logitsOf = () => Promise.resolve(Float32Array.of(1, 0));
  return { coordinator: { logitsOf, world: World.alone() } as unknown as Coordinator, ring };
}

const OPTIONS = { classes: names(2), crops: 1, dropout: false, limit: undefined } as const;

test('a test hears after each batch how far it is', async () => {
  const { coordinator, ring } = testOf(3);
  const heard: number[][] = [];
  const goesOn = (...progress: number[]) => heard.push(progress) > 0;
  const result = await runTest(coordinator, ring, { ...OPTIONS, goesOn });
  assert.equal(result!.top1, 1);
  assert.deepEqual(heard, [
    [1, 3],
    [2, 3],
    [3, 3],
  ]);
});

test('a test that is not to go on ends after the batch under way, without a result', async () => {
  const { coordinator, ring } = testOf(3);
  let heard = 0;
  const goesOn = () => ++heard < 2;
  assert.equal(await runTest(coordinator, ring, { ...OPTIONS, goesOn }), null);
  assert.equal(heard, 2);
});
