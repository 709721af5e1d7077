import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { Configuration } from '../../src/configuration.js';
import {
  appendMetrics,
  dropMetricsAfter,
  readMetrics,
  type MetricsEvent,
} from '../../src/runs/metrics.js';
import { createRunFolder } from '../../src/runs/run_folder.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { readSummary, writeSummary, type Summary } from '../../src/runs/summary.js';
import { temporaryFolder } from './temporary.js';

const CONFIGURATION: Configuration = {
  name: 'tiny',
  comment: 'for tests',
  towers: 2,
  network: { input: { height: 8, width: 8, channels: 3 }, layers: [] },
  data: {
    source: 'generated',
    directory: null,
    classes: 10,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
    view: { type: 'resize' },
    colour: null,
    flip: false,
  },
  training: {
    batch: 8,
    epochs: 1,
    steps: null,
    learningRate: 0.01,
    momentum: 0.9,
    weightDecay: 0,
    schedule: { type: 'constant' },
    seed: 3,
  },
  test: { crops: 1, dropout: false },
};

function trainEvent(step: number): MetricsEvent {
  return {
    event: 'train',
    step,
    epoch: 0,
    loss: 2.3 - step / 100,
    accuracy: 0.1,
    learningRate: 0.01,
    imagesPerSecond: 31.5,
    stepMs: 254,
    dataWaitMs: 5,
    forwardMs: 80,
    backwardMs: 160,
    exchangeMs: 3.5,
    exchangeWaitMs: 2.5,
    updateMs: 8,
    exchangeBytes: 4096,
  };
}

const TEST_EVENT: MetricsEvent = {
  event: 'test',
  step: 2,
  epoch: 0,
  loss: 2.1,
  top1: 0.25,
  top5: 0.75,
};

suite('run folder', () => {
  test('a new one holds the configuration, under folders that it creates', (context) => {
    const path = join(temporaryFolder(context), 'runs', 'first');
    const run = createRunFolder(path, CONFIGURATION);
    assert.deepEqual(JSON.parse(readFileSync(run.configurationFile, 'utf8')), CONFIGURATION);
    assert.deepEqual(readdirSync(path), ['config.json']);
  });

  test('an empty folder is taken', (context) => {
    const path = temporaryFolder(context);
    assert.equal(createRunFolder(path, CONFIGURATION).path, path);
  });

  test('a folder that is not empty is refused with the remedy and left alone', (context) => {
    const path = temporaryFolder(context);
    writeFileSync(join(path, 'note.txt'), 'mine');
    assert.throws(() => createRunFolder(path, CONFIGURATION), {
      name: 'UserError',
      message: `the run folder ${path} exists and is not empty: choose another --out or --resume it`,
    });
    assert.deepEqual(readdirSync(path), ['note.txt']);
  });

  test('a file in its place is refused', (context) => {
    const path = join(temporaryFolder(context), 'file');
    writeFileSync(path, '');
    assert.throws(() => createRunFolder(path, CONFIGURATION), { name: 'UserError' });
  });

  test('a created folder opens again', (context) => {
    const created = createRunFolder(join(temporaryFolder(context), 'run'), CONFIGURATION);
    assert.deepEqual(openRunFolder(created.path), created);
  });

  test('a folder without config.json does not open', (context) => {
    const path = join(temporaryFolder(context), 'empty');
    mkdirSync(path);
    assert.throws(() => openRunFolder(path), { name: 'UserError', message: /empty.*config\.json/ });
  });
});

suite('metrics', () => {
  test('events come back in order, one line each', (context) => {
    const run = createRunFolder(temporaryFolder(context), CONFIGURATION);
    const events = [trainEvent(1), trainEvent(2), TEST_EVENT];
    for (const event of events) appendMetrics(run, event);
    assert.deepEqual(readMetrics(run), events);
    assert.equal(readFileSync(run.metricsFile, 'utf8').split('\n').length, 4);
  });

  test('there are none before the first', (context) => {
    assert.deepEqual(readMetrics(createRunFolder(temporaryFolder(context), CONFIGURATION)), []);
  });

  test('dropping later ones and going on gives the bytes of an uninterrupted run', (context) => {
    const folder = temporaryFolder(context);
    const whole = createRunFolder(join(folder, 'whole'), CONFIGURATION);
    const resumed = createRunFolder(join(folder, 'resumed'), CONFIGURATION);
    const events = [trainEvent(1), trainEvent(2), TEST_EVENT, trainEvent(3), trainEvent(4)];
    for (const event of events) appendMetrics(whole, event);
    for (const event of events.slice(0, 4)) appendMetrics(resumed, event);
    dropMetricsAfter(resumed, { step: 2, testTop1: 0.5 });
    assert.deepEqual(readMetrics(resumed), events.slice(0, 3));
    for (const event of events.slice(3)) appendMetrics(resumed, event);
    assert.deepEqual(readFileSync(resumed.metricsFile), readFileSync(whole.metricsFile));
  });

  test('a test that the checkpoint is without is dropped, as it is made again', (context) => {
    const run = createRunFolder(temporaryFolder(context), CONFIGURATION);
    for (const event of [trainEvent(1), trainEvent(2), TEST_EVENT]) appendMetrics(run, event);
    dropMetricsAfter(run, { step: 2, testTop1: null });
    assert.deepEqual(readMetrics(run), [trainEvent(1), trainEvent(2)]);
  });

  test('a last line that a kill cut off is dropped', (context) => {
    const run = createRunFolder(temporaryFolder(context), CONFIGURATION);
    appendMetrics(run, trainEvent(1));
    appendFileSync(run.metricsFile, '{"event":"train","st');
    dropMetricsAfter(run, { step: 9, testTop1: null });
    appendMetrics(run, trainEvent(2));
    assert.deepEqual(readMetrics(run), [trainEvent(1), trainEvent(2)]);
  });

  test('a malformed line is named', (context) => {
    const run = createRunFolder(temporaryFolder(context), CONFIGURATION);
    appendMetrics(run, trainEvent(1));
    appendFileSync(run.metricsFile, 'nonsense\n');
    assert.throws(() => readMetrics(run), {
      name: 'UserError',
      message: /metrics\.jsonl, line 2: /,
    });
  });

  for (const [what, line, message] of [
    ['a field of another type', { ...trainEvent(2), loss: '<b>' }, /line 2: loss is no number/],
    ['a field that is not there', { event: 'test', step: 2 }, /line 2: epoch is no number/],
    ['an event of no known kind', { event: 'toString', step: 2 }, /line 2: it is no train, test/],
    ['no event at all', null, /line 2: it is no train, test/],
  ] as const) {
    test(`a line with ${what} is named`, (context) => {
      const run = createRunFolder(temporaryFolder(context), CONFIGURATION);
      appendMetrics(run, trainEvent(1));
      appendFileSync(run.metricsFile, `${JSON.stringify(line)}\n`);
      assert.throws(() => readMetrics(run), { name: 'UserError', message });
    });
  }
});

suite('summary', () => {
  const SUMMARY: Summary = {
    status: 'completed',
    epochs: 1,
    steps: 4,
    skipped: 0,
    restarts: 0,
    wallSeconds: 12.5,
    imagesPerSecond: 31.5,
    parameters: 1234,
    test: { loss: 2.1, top1: 0.25, top5: 0.75 },
    placement: [{ rank: 0, device: 'cpu', requested: 'gpu:0' }],
    backend: 'tensorflow',
    warnings: ['no GPU is usable: gpu:0 is carried out on the CPU'],
    undecodable: [],
  };

  test('the last one written comes back and nothing else stays', (context) => {
    const run = createRunFolder(temporaryFolder(context), CONFIGURATION);
    writeSummary(run, { ...SUMMARY, status: 'interrupted' });
    writeSummary(run, SUMMARY);
    assert.deepEqual(readSummary(run), SUMMARY);
    assert.deepEqual(readdirSync(run.path).sort(), ['config.json', 'summary.json']);
  });

  for (const [what, value, field] of [
    ['without fields', {}, 'status'],
    ['that is null', null, 'status'],
    ['with a field of another type', { ...SUMMARY, wallSeconds: '12' }, 'wallSeconds'],
    ['with a test that lacks a field', { ...SUMMARY, test: { loss: 2.1, top1: 0.25 } }, 'test'],
    ['with a malformed place', { ...SUMMARY, placement: [null] }, 'placement'],
    ['with a warning that is no text', { ...SUMMARY, warnings: [1] }, 'warnings'],
  ] as const) {
    test(`one ${what} is refused by its file and field`, (context) => {
      const run = createRunFolder(temporaryFolder(context), CONFIGURATION);
      writeFileSync(run.summaryFile, JSON.stringify(value));
      assert.throws(() => readSummary(run), {
        name: 'UserError',
        message: `cannot read ${run.summaryFile}: ${field} is malformed or missing; remove the file to read the run without it`,
      });
    });
  }

  test('one of a run that failed without a test comes back', (context) => {
    const run = createRunFolder(temporaryFolder(context), CONFIGURATION);
    const failed: Summary = { ...SUMMARY, status: 'failed', error: 'a worker died', test: null };
    writeSummary(run, failed);
    assert.deepEqual(readSummary(run), failed);
  });

  test('a run without one says so', (context) => {
    const run = createRunFolder(temporaryFolder(context), CONFIGURATION);
    assert.throws(() => readSummary(run), { name: 'UserError', message: /summary\.json/ });
  });
});
