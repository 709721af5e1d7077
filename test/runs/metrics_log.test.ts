import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import type { MetricsEvent } from '../../src/runs/metrics.js';
import { MetricsLog, MetricsReader, metricsIn } from '../../src/runs/metrics_log.js';
import { testEvent, trainEvent } from './some_run.js';
import { temporaryFolder } from './temporary.js';

const fileIn = (context: TestContext): string => join(temporaryFolder(context), 'metrics.jsonl');

function fileOf(context: TestContext, ...events: MetricsEvent[]): string {
  const file = fileIn(context);
  const log = new MetricsLog(file);
  for (const event of events) log.append(event);
  return file;
}

/** Collects what a reader visits. */
class Collected {
  events: MetricsEvent[] = [];
  restarts = 0;

  restart(): void {
    this.restarts++;
    this.events = [];
  }

  visit(event: MetricsEvent): void {
    this.events.push(event);
  }
}

suite('the log of metrics', () => {
  test('gives events back in order, one per line', (context) => {
    const events = [trainEvent(1), trainEvent(2), testEvent(2)];
    const file = fileOf(context, ...events);
    assert.deepEqual([...metricsIn(file)], events);
    assert.equal(fs.readFileSync(file, 'utf8').split('\n').length, 4);
  });

  test('has no events before the first', (context) => {
    assert.deepEqual([...metricsIn(fileIn(context))], []);
  });

  test('knows its length, also when it is opened again', (context) => {
    const file = fileOf(context, trainEvent(1), trainEvent(2));
    assert.equal(new MetricsLog(file).bytes, fs.statSync(file).size);
  });

  test('that is cut and continued has the bytes of an uninterrupted one', (context) => {
    const whole = fileOf(context, trainEvent(1), testEvent(1), trainEvent(2), trainEvent(3));
    const cut = fileOf(context, trainEvent(1), testEvent(1));
    const { bytes } = new MetricsLog(cut);
    const log = new MetricsLog(cut);
    log.append(trainEvent(2));
    log.cut(bytes);
    log.append(trainEvent(2));
    log.append(trainEvent(3));
    assert.deepEqual(fs.readFileSync(cut), fs.readFileSync(whole));
    assert.equal(log.bytes, fs.statSync(whole).size);
  });

  test('that is shorter than where it is to be cut loses but a half line', (context) => {
    const file = fileOf(context, trainEvent(1));
    fs.appendFileSync(file, '{"event":"train","st');
    const log = new MetricsLog(file);
    log.cut(1e6);
    log.append(trainEvent(2));
    assert.deepEqual([...metricsIn(file)], [trainEvent(1), trainEvent(2)]);
  });

  test('is cut without reading it, however long it is', (context) => {
    const file = fileOf(context, trainEvent(1));
    const { bytes } = new MetricsLog(file);
    // Longer than V8's longest string; a hole, which takes no space.
    fs.truncateSync(file, 2 ** 30);
    new MetricsLog(file).cut(bytes);
    assert.deepEqual([...metricsIn(file)], [trainEvent(1)]);
  });

  test('that cannot be appended to drops the half line', (context) => {
    const file = fileOf(context, trainEvent(1));
    const log = new MetricsLog(file);
    const mock = context.mock.method(fs, 'appendFileSync', (path: string) => {
      fs.writeFileSync(path, '{"ev', { flag: 'a' });
      throw new Error('ENOSPC: no space left on device');
    });
    syncBuiltinESMExports();
    assert.throws(() => log.append(trainEvent(2)), {
      name: 'UserError',
      message: `cannot write ${file}: ENOSPC: no space left on device`,
    });
    mock.mock.restore();
    syncBuiltinESMExports();
    log.append(trainEvent(2));
    assert.deepEqual([...metricsIn(file)], [trainEvent(1), trainEvent(2)]);
  });
});

suite('reading metrics', () => {
  test('leaves out a last line without its newline', (context) => {
    const file = fileOf(context, trainEvent(1));
    fs.appendFileSync(file, '{"event":"train","st');
    assert.deepEqual([...metricsIn(file)], [trainEvent(1)]);
  });

  test('holds one piece of the file at a time', (context) => {
    const file = fileIn(context);
    const line = `${JSON.stringify(trainEvent(1))}\n`;
    const lines = 40_000;
    fs.writeFileSync(file, line.repeat(lines));
    const { readSync } = fs;
    let [reads, longest] = [0, 0];
    context.mock.method(
      fs,
      'readSync',
      (descriptor: number, bytes: Buffer, ...where: [number, number, number]) => {
        reads++;
        longest = Math.max(longest, bytes.length);
        return readSync(descriptor, bytes, ...where);
      },
    );
    syncBuiltinESMExports();
    let count = 0;
    for (const event of metricsIn(file)) count += event.step;
    context.mock.restoreAll();
    syncBuiltinESMExports();
    assert.equal(count, lines);
    assert.ok(longest <= 1 << 18, `${longest} bytes at a time`);
    assert.ok(reads > (line.length * lines) / longest, `${reads} reads`);
  });

  test('puts lines together that two pieces share', (context) => {
    const file = fileIn(context);
    const events = Array.from({ length: 2000 }, (_, index) => trainEvent(index));
    fs.writeFileSync(file, events.map((event) => `${JSON.stringify(event)}\n`).join(''));
    assert.deepEqual([...metricsIn(file)], events);
  });

  test('refuses a file of one endless line', (context) => {
    const file = fileIn(context);
    fs.writeFileSync(file, '');
    fs.truncateSync(file, 2 ** 30);
    assert.throws(() => [...metricsIn(file)], {
      message: `${file}, line 1: it is not a line of metrics`,
    });
  });

  for (const [what, line, message] of [
    ['that is not JSON', 'nonsense', /line 2: .*JSON/],
    ['with a field of another type', '{"event":"test","step":"2"}', /line 2: step is no number/],
    ['without a field', '{"event":"test","step":2}', /line 2: epoch is no number/],
    ['of no known kind', '{"event":"toString"}', /line 2: it is no train, test/],
    ['that is no event', 'null', /line 2: it is no train, test/],
  ] as const) {
    test(`names a line ${what}`, (context) => {
      const file = fileOf(context, trainEvent(1));
      fs.appendFileSync(file, `${line}\n`);
      assert.throws(() => [...metricsIn(file)], { name: 'UserError', message });
    });
  }
});

suite('reading metrics again', () => {
  test('parses only what is new', (context) => {
    const file = fileOf(context, trainEvent(1), trainEvent(2));
    const [reader, collected] = [new MetricsReader(file), new Collected()];
    reader.read(collected);
    // Reading the first line again would fail.
    const descriptor = fs.openSync(file, 'r+');
    fs.writeSync(descriptor, 'x', 0);
    fs.closeSync(descriptor);
    new MetricsLog(file).append(trainEvent(3));
    reader.read(collected);
    assert.deepEqual(collected.events, [trainEvent(1), trainEvent(2), trainEvent(3)]);
    assert.throws(() => [...metricsIn(file)], { message: /line 1/ });
  });

  test('continues after the last whole line, with line numbers of the file', (context) => {
    const file = fileOf(context, trainEvent(1));
    fs.appendFileSync(file, '{"half');
    const [reader, collected] = [new MetricsReader(file), new Collected()];
    reader.read(collected);
    const log = new MetricsLog(file);
    log.cut(1e6);
    log.append(trainEvent(2));
    reader.read(collected);
    reader.read(collected);
    assert.deepEqual([collected.events, collected.restarts], [[trainEvent(1), trainEvent(2)], 0]);
    fs.appendFileSync(file, 'nonsense\n');
    assert.throws(() => reader.read(collected), { message: /line 3: / });
  });

  test('begins again if the file was cut back, even if it has grown since', (context) => {
    const file = fileOf(context, trainEvent(1), trainEvent(2));
    const [reader, collected] = [new MetricsReader(file), new Collected()];
    const { bytes } = new MetricsLog(file);
    const log = new MetricsLog(file);
    log.append(trainEvent(3));
    reader.read(collected);
    log.cut(bytes);
    const again = { ...trainEvent(3), stepMs: 333 };
    for (const event of [again, trainEvent(4)]) log.append(event);
    reader.read(collected);
    assert.equal(collected.restarts, 1);
    assert.deepEqual(collected.events, [trainEvent(1), trainEvent(2), again, trainEvent(4)]);
  });

  test('begins when the file appears', (context) => {
    const file = fileIn(context);
    const [reader, collected] = [new MetricsReader(file), new Collected()];
    reader.read(collected);
    new MetricsLog(file).append(trainEvent(1));
    reader.read(collected);
    assert.deepEqual(collected.events, [trainEvent(1)]);
  });
});
