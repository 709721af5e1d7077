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

test('a run on several hosts has the communication, and the part of a step that waits for it', async () => {
  const times = { stepMs: 100, forwardMs: 30, backwardMs: 50, updateMs: 1, dataWaitMs: 0 };
  const step = {
    event: 'train',
    step: 1,
    epoch: 1,
    loss: 1,
    accuracy: 0,
    learningRate: 1,
  } as const;
  const exchange = { exchangeMs: 0, exchangeWaitMs: 0, communicationMs: 40.25, exposedMs: 12.5 };
  const history = new RunHistory([{ ...step, imagesPerSecond: 1, ...times, ...exchange }]);
  const { sections } = await runReport([{ ...run(1), history }]);
  const words = sections.map(({ text }) => text.replace(/(\s|<[^>]*>)+/g, ' ')).join(' ');
  assert.match(words, / run: 100\.0 ms, communicating 40\.3 ms /);
  assert.match(words, / waiting for other hosts 12\.50 /);
});

test('a confusion is listed with its share of the images of its class', async () => {
  const { sections } = await runReport([run(1)]);
  const words = sections.map(({ text }) => text.replace(/(\s|<[^>]*>)+/g, ' ')).join(' ');
  assert.match(words, / b a 1 of 2 50\.00 % /);
});
