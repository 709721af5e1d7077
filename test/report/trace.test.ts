import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { microseconds } from '../../src/clock.js';
import { UserError } from '../../src/errors.js';
import { TraceFile } from '../../src/report/trace.js';
import { readTrace } from './trace_reader.js';

const folder = mkdtempSync(join(tmpdir(), 'twotower-trace-'));
after(() => rmSync(folder, { recursive: true }));

suite('a trace file', () => {
  test('has each span in its group and track, to the nanosecond', () => {
    const path = join(folder, 'spans.json');
    const file = new TraceFile(path);
    const began = microseconds();
    file.group('split').span('rank 0', 'forward "conv1"', 'forward', began, began + 12.345);
    file.group('dense').span('rank 0', 'update conv1', 'update', began + 20, began + 21);
    file.close();
    const spans = readTrace(path);
    assert.deepEqual(
      spans.map(({ group, track, name, category }) => [group, track, name, category]),
      [
        ['split', 'rank 0', 'forward "conv1"', 'forward'],
        ['dense', 'rank 0', 'update conv1', 'update'],
      ],
    );
    assert.ok(Math.abs(spans[0]!.microseconds - 12.345) < 2e-3);
    assert.ok(Math.abs(spans[1]!.began - spans[0]!.began - 20) < 2e-3);
  });

  test('is written as it comes; where its end is missing each line but the last ends an event', () => {
    const path = join(folder, 'unfinished.json');
    const file = new TraceFile(path);
    const group = file.group('run');
    for (let span = 0; span < 2000; span++) group.span('rank 0', 'a', 'b', span, span + 1);
    const text = readFileSync(path, 'utf8');
    file.close();
    assert.ok(text.length > 100_000, `only ${text.length} characters are written`);
    JSON.parse(`${text.replace(/,\s*$/, '')}]`);
  });

  test('does not replace a file that exists', () => {
    const path = join(folder, 'mine.json');
    writeFileSync(path, 'mine');
    assert.throws(() => new TraceFile(path), UserError);
    assert.equal(readFileSync(path, 'utf8'), 'mine');
  });
});
