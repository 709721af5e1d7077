/** Run folders and a comparison for tests of the reports, made without training. Names are hostile. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfiguration } from '../../src/configuration.js';
import type { Comparison } from '../../src/library/compare.js';
import { writeCheckpoint } from '../../src/runs/checkpoint_writer.js';
import { writeSummary } from '../../src/runs/summary.js';
import { newRunFolder, stateAt } from '../runs/some_run.js';

/** What would run, call out or break the page if it were not escaped. */
export const HOSTILE = `"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>&amp;'</svg>`;

/** Steps 1 to `steps` with a test every tenth of them. */
export function writeRun(path: string, steps: number): string {
  const preset = loadConfiguration({ preset: 'demo' });
  const configuration = { ...preset, comment: HOSTILE };
  const run = newRunFolder(path, configuration);
  const lines: object[] = [];
  for (let step = 1; step <= steps; step++) {
    const loss = 2.3 * Math.exp(-step / steps);
    const accuracy = 1 - loss / 2.5;
    const epoch = 1 + Math.floor((10 * step) / steps);
    const parts = { forwardMs: 30, backwardMs: 55, exchangeMs: 9, exchangeWaitMs: 5, updateMs: 2 };
    lines.push({
      event: 'train',
      step,
      epoch,
      loss,
      accuracy,
      learningRate: step > steps / 2 ? 1e-4 : 0.01,
      imagesPerSecond: 600 + (step % 7),
      stepMs: 100,
      dataWaitMs: 3,
      exchangeBytes: 1,
      ...parts,
    });
    if (step % (steps / 10) !== 0) continue;
    lines.push({ event: 'test', step, epoch, loss, top1: accuracy, top5: 1 });
  }
  writeFileSync(run.metricsFile, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const size = 32 * 3 * 5 * 5;
  const data = Float32Array.from({ length: size }, (_, index) => Math.sin(index * index));
  const model = new Map([['conv1.weight', { shape: [32, 3, 5, 5], data }]]);
  const lock = join(path, 'lock');
  writeFileSync(lock, 'ours');
  writeCheckpoint({
    run,
    lock: { folder: path, text: 'ours' },
    state: stateAt(steps),
    metricsBytes: 0,
    tensors: { model, optimizer: model },
  });
  rmSync(lock);
  const classes = [HOSTILE, 'second', 'third'];
  const confusion = [
    [8, 2, 0],
    [1, 9, 0],
    [0, 4, 6],
  ];
  const test = { step: steps, crops: 1, images: 30, loss: 0.5, top1: 23 / 30, top5: 1 };
  writeFileSync(join(path, 'test.json'), JSON.stringify({ ...test, classes, confusion }));
  writeSummary(run, {
    status: 'completed',
    epochs: 10,
    steps,
    wallSeconds: 75,
    imagesPerSecond: 600,
    parameters: 123_786,
    test: { loss: 0.5, top1: 0.76, top5: 1 },
    backend: 'native',
    placement: [0, 1].map((rank) => ({ rank, device: 'cpu', requested: `gpu:${rank}` })),
    warnings: [HOSTILE],
    undecodable: [HOSTILE],
    skipped: 0,
    restarts: 0,
  });
  return path;
}

export const COMPARISON: Comparison = {
  preset: HOSTILE,
  batch: 64,
  steps: 10,
  rows: (['split', 'grouped', 'dense'] as const).map((name, index) => ({
    name,
    placement: [[[0], [1]], [[0, 1]], [[0]]][index]!,
    msPerStep: { median: 100 + 10 * index, p10: 95, p90: 140 },
    imagesPerSecond: 640,
    speedup: 1.2,
    parts: { forwardMs: 30, backwardMs: 50, exchangeCopyMs: 3, exchangeWaitMs: 6, updateMs: 2 },
    exchangeBytes: 123_456,
    workers: [{ device: 'cpu', parameters: 61_893, peakBytes: 5e6 }],
  })),
};
