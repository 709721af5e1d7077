import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { loadConfiguration } from '../../src/configuration.js';
import { RunEvents } from '../../src/runs/events.js';
import { keepStatistics, statisticsFor } from '../../src/runs/statistics.js';
import { recordsDataset } from '../data/records.js';
import { temporaryFolder } from './temporary.js';

const configuration = loadConfiguration({
  preset: 'demo',
  settings: ['data.mean=channel', 'data.view={"type":"resize"}'],
});

/** A run folder with the statistics of one data set, and the warnings when it is used with `classes`. */
async function warningsFor(context: TestContext, classes: string[]): Promise<string[]> {
  const run = temporaryFolder(context);
  const own = { ...recordsDataset(4, 1), classes: ['cat', 'dog'] };
  keepStatistics(run, await statisticsFor(configuration, own, undefined));
  const events = new RunEvents();
  const warnings: string[] = [];
  events.on('warning', (warning) => warnings.push(warning));
  await statisticsFor(configuration, { ...recordsDataset(4, 1), classes }, run, events);
  return warnings;
}

test("a run's statistics are used with its own data without a word", async (context) => {
  assert.deepEqual(await warningsFor(context, ['cat', 'dog']), []);
});

test("a run's statistics are not used with other data without a word", async (context) => {
  const [warning] = await warningsFor(context, ['cat', 'cow']);
  assert.match(warning!, /its own 4 training images, not of the data set given now: .* new run/);
});
