import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { thinned } from '../../src/report/series.js';

const points = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ step: index + 1, value: (index + 1) ** 2 }));

suite('thinned', () => {
  test('leaves a short series as it is', () => {
    assert.deepEqual(thinned(points(4), 4), points(4));
    assert.deepEqual(thinned([], 4), []);
  });

  test('gives means of neighbours, a last run that is shorter too', () => {
    assert.deepEqual(thinned(points(5), 3), [
      { step: 1.5, value: 2.5 },
      { step: 3.5, value: 12.5 },
      { step: 5, value: 25 },
    ]);
  });

  test('gives no more points than asked for', () => {
    for (const count of [401, 799, 800, 801, 12_345]) {
      const { length } = thinned(points(count), 400);
      assert.ok(length <= 400 && length > 200, `${count}: ${length}`);
    }
  });

  test('leaves the place of a value that is not finite empty', () => {
    const broken = points(4).with(1, { step: 2, value: NaN });
    assert.ok(Number.isNaN(thinned(broken, 2)[0]!.value));
    assert.equal(thinned(broken, 2)[1]!.value, 12.5);
  });
});
