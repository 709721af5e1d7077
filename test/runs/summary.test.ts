import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { readSummary, writeSummary, type Summary } from '../../src/runs/summary.js';
import { SUMMARY, someRun } from './some_run.js';

suite('summary', () => {
  test('the last one written comes back and nothing else stays', (context) => {
    const run = someRun(context);
    writeSummary(run, { ...SUMMARY, status: 'interrupted' });
    writeSummary(run, SUMMARY);
    assert.deepEqual(readSummary(run), SUMMARY);
    assert.deepEqual(readdirSync(run.path).sort(), ['config.json', 'lock', 'summary.json']);
  });

  for (const [what, value, field] of [
    ['without fields', {}, 'status'],
    ['that is null', null, 'status'],
    ['with a field of another type', { ...SUMMARY, wallSeconds: '12' }, 'wallSeconds'],
    ['with a test that lacks a field', { ...SUMMARY, test: { loss: 2.1, top1: 0.25 } }, 'test'],
    ['with a malformed place', { ...SUMMARY, placement: [null] }, 'placement'],
    ['with a host that is no text', { ...SUMMARY, hosts: [1] }, 'hosts'],
    ['with a warning that is no text', { ...SUMMARY, warnings: [1] }, 'warnings'],
  ] as const) {
    test(`one ${what} is refused by its file and field`, (context) => {
      const run = someRun(context);
      writeFileSync(run.summaryFile, JSON.stringify(value));
      assert.throws(() => readSummary(run), {
        name: 'UserError',
        message: `cannot read ${run.summaryFile}: ${field} is malformed or missing; remove the file to read the run without it`,
      });
    });
  }

  test('one of a run that failed without a test comes back', (context) => {
    const run = someRun(context);
    const failed: Summary = { ...SUMMARY, status: 'failed', error: 'a worker died', test: null };
    writeSummary(run, failed);
    assert.deepEqual(readSummary(run), failed);
  });

  test('a run without one says so', (context) => {
    const run = someRun(context);
    assert.throws(() => readSummary(run), { name: 'UserError', message: /summary\.json/ });
  });
});
