import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { MetricsWindow, progressLine } from '../../src/report/progress.js';

suite('metrics window', () => {
  test('averages over images and time, not over steps', () => {
    const window = new MetricsWindow();
    window.add({ loss: 2, accuracy: 0.25, images: 96, seconds: 3 });
    window.add({ loss: 1, accuracy: 0.5, images: 32, seconds: 5 });
    assert.deepEqual(window.take(), {
      loss: 1.75,
      accuracy: 0.3125,
      imagesPerSecond: 16,
      secondsPerStep: 4,
    });
  });

  test('begins anew after each take', () => {
    const window = new MetricsWindow();
    window.add({ loss: 8, accuracy: 0, images: 64, seconds: 9 });
    window.take();
    window.add({ loss: 1, accuracy: 0.5, images: 32, seconds: 2 });
    assert.deepEqual(window.take(), {
      loss: 1,
      accuracy: 0.5,
      imagesPerSecond: 16,
      secondsPerStep: 2,
    });
  });

  test('without a step has no averages', () => {
    assert.equal(new MetricsWindow().take(), undefined);
  });
});

suite('progress line', () => {
  const progress = {
    epoch: 1,
    epochs: 10,
    batch: 100,
    batches: 781,
    stepsLeft: 50,
    learningRate: 0.001,
  };
  const averages = {
    loss: 2.28714,
    accuracy: 0.125,
    imagesPerSecond: 31.42,
    secondsPerStep: 2.5,
  };

  test('holds what the seed prints, speed, learning rate and the time left', () => {
    assert.equal(
      progressLine(progress, averages),
      'epoch  1/10  batch 100/781  accuracy  12.50 %  loss 2.2871  31.4 images/s  lr 0.001  2 m 05 s left',
    );
  });

  test('keeps its columns from first to last batch', () => {
    const first = progressLine({ ...progress, batch: 1 }, averages);
    const last = progressLine({ ...progress, epoch: 10, batch: 781 }, { ...averages, accuracy: 1 });
    assert.equal(first.indexOf('loss'), last.indexOf('loss'));
  });

  test('prints a learning rate without rounding noise', () => {
    assert.match(
      progressLine({ ...progress, learningRate: 0.01 * 0.1 * 0.1 * 0.1 }, averages),
      / lr 0\.00001 {2}/,
    );
  });
});
