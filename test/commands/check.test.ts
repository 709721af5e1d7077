import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import type { GradientCheck } from '../../src/training/gradient_check.js';
import { newFolder, succeeds, TINY, writeTinyImages, type Outcome } from './command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));

suite('check', () => {
  let table: Outcome;
  let json: Outcome;

  before(async () => {
    const check = ['check', '--config', TINY, '--data', writeTinyImages(folder)];
    [table, json] = await Promise.all([
      succeeds([...check, '--cpu', '2'], { cwd: folder, environment: { COLUMNS: '80' } }),
      succeeds([...check, '--cpu', '1', '--towers', '2', '--json'], { cwd: folder }),
    ]);
  });

  test('prints a row per parameter tensor, with the error in percent', () => {
    const [heading, ...rows] = table.stdout.trimEnd().split('\n');
    assert.match(heading!, /^parameter +gradient +finite difference +error$/);
    assert.equal(rows.length, 10);
    for (const row of rows) assert.match(row, /^\w+\.(weight|bias) .* 0\.\d{3} %$/);
  });

  test('prints one JSON array with --json', () => {
    const checks = JSON.parse(json.stdout) as GradientCheck[];
    assert.equal(checks[0]!.parameter, 'conv1.weight');
    assert.ok(checks.every(({ relativeError }) => relativeError < 0.01));
  });
});
