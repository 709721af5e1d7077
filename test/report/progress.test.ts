import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { barRows, ProgressDisplay } from '../../src/report/progress.js';
import type { ProgressOptions } from '../../src/report/progress.js';

const report = {
  label: 'epoch 1/3',
  unit: 'step',
  done: 120,
  of: 240,
  details: ['loss 2.2871', 'accuracy 12.5 %', '1031.4 images/s', 'exchange 3 %'],
};

/** A terminal of 80 columns that keeps what is written, and a clock that stands until it is set. */
function terminal(options: ProgressOptions = {}) {
  const written: string[] = [];
  const clock = { now: 0 };
  const display = new ProgressDisplay({
    stream: { isTTY: true, columns: 80, write: (text) => written.push(text) },
    environment: {},
    clock: () => clock.now,
    ...options,
  });
  return { written, clock, display };
}

const piped = (options: ProgressOptions = {}) => {
  const written: string[] = [];
  const stream = { write: (text: string) => written.push(text) };
  return { written, display: new ProgressDisplay({ stream, environment: {}, ...options }) };
};

suite('the rows of the bar', () => {
  test('hold the bar, the count and the time left, then the details', () => {
    assert.deepEqual(barRows(report, 9.5, 79), [
      `epoch 1/3 ${'━'.repeat(20)}${'─'.repeat(20)} step 120/240  9.5 s left`,
      'loss 2.2871  accuracy 12.5 %  1031.4 images/s  exchange 3 %',
    ]);
  });

  for (const width of [20, 39, 79, 200]) {
    test(`fit ${width} columns and leave no detail out`, () => {
      const rows = barRows(report, 3723, width);
      for (const row of rows) assert.ok(row.length <= width, `"${row}" is longer than ${width}`);
      for (const part of [report.label, ...report.details, '1 h 02 m left']) {
        assert.ok(
          rows.some((row) => row.includes(part)),
          part,
        );
      }
    });
  }

  test('are full at the end', () => {
    assert.doesNotMatch(barRows({ ...report, done: 240 }, 0, 79)[0]!, /─/);
  });
});

suite('the display on a terminal', () => {
  test('draws a bar over the last one, at most ten times a second', () => {
    const { written, clock, display } = terminal();
    display.show(report);
    clock.now = 99;
    display.show({ ...report, done: 121 });
    assert.equal(written.length, 1);
    clock.now = 100;
    display.show({ ...report, done: 122 });
    assert.equal(written.length, 2);
    // One row up: the first drawing has two.
    assert.ok(written[1]!.startsWith('\x1b[1A\r'));
  });

  test('takes a terminal of 0 columns for one of 80', () => {
    const written: string[] = [];
    const stream = { isTTY: true, columns: 0, write: (text: string) => written.push(text) };
    new ProgressDisplay({ stream, environment: {}, clock: () => 0 }).show(report);
    const { written: usual, display } = terminal();
    display.show(report);
    assert.deepEqual(written, usual);
  });

  test('reckons the time left from what is done since the task began', () => {
    const { written, clock, display } = terminal();
    display.show(report);
    clock.now = 6000;
    display.show({ ...report, done: 140 });
    assert.match(written.at(-1)!, / 30 s left/);
  });

  test('prints lines above the bar, and draws it again below them', (context) => {
    const { written, display } = terminal();
    display.show(report);
    const seen: string[] = [];
    context.mock.method(console, 'log', (line: string) => seen.push(`${written.length} ${line}`));
    display.print('a result');
    assert.deepEqual(seen, ['2 a result']);
    assert.doesNotMatch(written[1]!, /epoch/);
    assert.match(written[2]!, /epoch 1\/3/);
  });

  test('takes the bar away at the end', () => {
    const { written, display } = terminal();
    display.show(report);
    display.close();
    assert.equal(written.at(-1), '\x1b[1A\r\x1b[J');
  });

  for (const environment of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
    test(`draws nothing with ${JSON.stringify(environment)}`, () => {
      const { written, display } = terminal({ environment });
      display.show(report);
      assert.equal(display.isLive, false);
      assert.equal(written.join(''), `epoch 1/3: step 120/240  ${report.details.join('  ')}\n`);
    });
  }

  test('says nothing where it is to be quiet', () => {
    const { written, display } = terminal({ quiet: true });
    display.show(report);
    display.close();
    assert.deepEqual(written, []);
  });
});

suite('the display without a terminal', () => {
  const showAll = (display: ProgressDisplay): void => {
    for (let done = 1; done <= 40; done++) {
      display.show({ label: 'testing', unit: 'images', done, of: 40 });
    }
  };

  test('prints a line at each tenth of the work, without control characters', () => {
    const { written, display } = piped();
    showAll(display);
    const numbers = [1, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40];
    assert.deepEqual(
      written,
      numbers.map((done) => `testing: images ${String(done).padStart(2)}/40\n`),
    );
  });

  test('prints a line each time where it is to be verbose', () => {
    const { written, display } = piped({ verbose: true });
    showAll(display);
    assert.equal(written.length, 40);
  });
});
