/** The golden noise is NumPy's: see scripts/golden_views.py. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alongAxes, colourAxes, drawColour } from '../../src/data/colour.js';
import { golden } from './golden_views.js';

for (const scale of ['eigenvalue', 'standardDeviation'] as const) {
  test(`noise along the ${scale}s is NumPy's`, () => {
    const axes = colourAxes({ deviation: 1, scale }, golden.colour);
    alongAxes(axes, golden.colour.alphas).forEach((value, channel) => {
      const expected = golden.colour.noise[scale][channel]! / 255;
      // Doubles of a handful of operations.
      assert.ok(Math.abs(value - expected) < 1e-12, `${value}, not ${expected}`);
    });
  });
}

const AXES = [
  [1, 0, 0],
  [0, 2, 0],
  [0, 0, 0],
];

test('the numbers drawn are normal, of deviation 1 along each axis', () => {
  const draws = Array.from({ length: 4000 }, (_, index) => drawColour(1, 0, index, AXES));
  for (const channel of [0, 1]) {
    const scaled = draws.map((colour) => colour[channel]! / (channel + 1));
    const mean = scaled.reduce((sum, value) => sum + value, 0) / draws.length;
    const variance = scaled.reduce((sum, value) => sum + value ** 2, 0) / draws.length;
    // The mean's deviation is 1/√4000 = 0.016, the variance's √(2/4000) = 0.022: five of each.
    assert.ok(Math.abs(mean) < 0.08 && Math.abs(variance - 1) < 0.11, `${mean}, ${variance}`);
  }
});

test('epochs, seeds and examples each draw their own colours, and the same again', () => {
  const draw = (seed: number, epoch: number, index: number) =>
    JSON.stringify(drawColour(seed, epoch, index, AXES));
  assert.equal(new Set([draw(1, 0, 0), draw(2, 0, 0), draw(1, 1, 0), draw(1, 0, 1)]).size, 4);
  assert.equal(draw(1, 2, 3), draw(1, 2, 3));
});
