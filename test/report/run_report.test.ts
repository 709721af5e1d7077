import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfiguration } from '../../src/configuration.js';
import { RunHistory } from '../../src/report/run_history.js';
import { runReport, type ReportedRun } from '../../src/report/run_report.js';

const summary = {
  status: 'completed',
  epochs: 1,
  steps: 8,
  wallSeconds: 3,
  imagesPerSecond: 400,
  parameters: 1000,
  backend: 'native',
  placement: [],
  warnings: [],
  undecodable: [],
};

/** A run whose test between epochs had 80.25 %, and whose last test had 86.5 % with so many crops. */
function run(crops: number): ReportedRun {
  return {
    name: 'run',
    configuration: loadConfiguration({ preset: 'demo' }),
    summary,
    history: new RunHistory([
      { event: 'test', step: 8, epoch: 1, loss: 0.7, top1: 0.8025, top5: 0.95 },
    ]),
    kernels: null,
    classResults: {
      step: 8,
      images: 4,
      crops,
      loss: 0.5,
      top1: 0.865,
      top5: 0.99,
      classes: ['a', 'b'],
      confusion: [
        [2, 0],
        [1, 1],
      ],
    },
  };
}

test('a last test of ten crops is what a report names, and how it was had', async () => {
  const { subtitle } = await runReport([run(10)]);
  assert.match(subtitle, /· test top-1 86\.50 %, 10 crops$/);
});

test('a last test of one crop is named alone', async () => {
  const { subtitle } = await runReport([run(1)]);
  assert.match(subtitle, /· test top-1 86\.50 %$/);
});

test('a confusion is listed with its share of the images of its class', async () => {
  const { sections } = await runReport([run(1)]);
  const words = sections.map(({ text }) => text.replace(/(\s|<[^>]*>)+/g, ' ')).join(' ');
  assert.match(words, / b a 1 of 2 50\.00 % /);
});
