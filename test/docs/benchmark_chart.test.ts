import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BENCHMARKS, CHART, drawChart, rowsOf } from '../../scripts/benchmark_chart.js';

const TABLE = `
|          | ms  | images/s |
| -------- | --- | -------- |
| twotower | 1   | 1,000.5  |
| a & b    | 2   | 500      |

| other | images/s |
`;

test("the README's chart is of the figures in the benchmarks", () => {
  const rows = rowsOf(readFileSync(BENCHMARKS, 'utf8'));
  assert.equal(
    readFileSync(CHART, 'utf8'),
    drawChart(rows),
    'run node dist/scripts/benchmark_chart.js',
  );
});

test('a bar is as long as its figure, and a name is text', () => {
  const rows = rowsOf(TABLE);
  assert.deepEqual(rows, [
    { name: 'twotower', imagesPerSecond: 1000.5 },
    { name: 'a & b', imagesPerSecond: 500 },
  ]);
  const chart = drawChart(rows);
  const [first, second] = [...chart.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) =>
    Number(width),
  );
  assert.ok(Math.abs(first! / second! - 1000.5 / 500) < 0.01);
  assert.match(chart, />a &amp; b</);
});

test('a table without a figure in one row is refused', () => {
  assert.throws(() => rowsOf(TABLE.replace('500', '–')), /a & b has no images\/s/);
});
