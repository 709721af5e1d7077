import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  MetricsWindow,
  partsOfStep,
  progressParts,
  trainingReport,
} from '../../src/report/training_progress.js';

const parts = {
  forwardMs: 500,
  backwardMs: 900,
  exchangeCopyMs: 75,
  exchangeWaitMs: 250,
  updateMs: 125,
  dataWaitMs: 25,
};

suite('metrics window', () => {
  test('averages over images and time, not over steps', () => {
    const window = new MetricsWindow();
    window.add({ loss: 2, accuracy: 0.25, images: 96, seconds: 3, parts });
    window.add({ loss: 1, accuracy: 0.5, images: 32, seconds: 5, parts });
    assert.deepEqual(window.take(), {
      loss: 1.75,
      accuracy: 0.3125,
      imagesPerSecond: 16,
      secondsPerStep: 4,
      parts,
    });
  });

  test('begins anew after each take', () => {
    const window = new MetricsWindow();
    window.add({ loss: 8, accuracy: 0, images: 64, seconds: 9, parts });
    window.take();
    window.add({ loss: 1, accuracy: 0.5, images: 32, seconds: 2, parts });
    assert.deepEqual(window.take(), {
      loss: 1,
      accuracy: 0.5,
      imagesPerSecond: 16,
      secondsPerStep: 2,
      parts,
    });
  });

  test('keeps the latest steps alone where a number is given', () => {
    const window = new MetricsWindow(2);
    for (const loss of [9, 1, 2]) {
      window.add({ loss, accuracy: 0, images: 10, seconds: 1, parts });
    }
    assert.equal(window.averages()!.loss, 1.5);
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
    step: 100,
    stepsLeft: 50,
    learningRate: 0.001,
  };
  const averages = {
    loss: 2.28714,
    accuracy: 0.125,
    imagesPerSecond: 31.42,
    secondsPerStep: 2.5,
    parts,
  };

  test('holds what the seed prints, speed, learning rate and the time left', () => {
    assert.equal(
      progressParts(progress, averages).join('  '),
      'epoch  1/10  batch 100/781  accuracy  12.50 %  loss 2.2871  31.4 images/s  lr 0.001  2 m 05 s left',
    );
  });

  test('keeps its columns from first to last batch', () => {
    const first = progressParts({ ...progress, batch: 1 }, averages).join('  ');
    const end = { ...progress, epoch: 10, batch: 781 };
    const last = progressParts(end, { ...averages, accuracy: 1 }).join('  ');
    assert.equal(first.indexOf('loss'), last.indexOf('loss'));
  });

  test('prints a learning rate without rounding noise', () => {
    assert.match(
      progressParts({ ...progress, learningRate: 0.01 * 0.1 * 0.1 * 0.1 }, averages).join(),
      /,lr 0\.00001,/,
    );
  });

  test('of the live bar says what share of a step goes on exchanging and waiting', () => {
    const { details, ...where } = trainingReport(progress, averages);
    assert.deepEqual(where, {
      label: 'epoch 1/10',
      unit: 'step',
      done: 100,
      of: 150,
      secondsLeft: 125,
    });
    assert.deepEqual(details, [
      'loss 2.2871',
      'accuracy 12.5 %',
      '31.4 images/s',
      'exchange  3 %',
      'wait for ranks 10 %',
      'wait for data  1 %',
    ]);
  });

  test('of the live bar and of --verbose has the communication of several hosts', () => {
    const window = new MetricsWindow();
    for (const exposedMs of [50, 150]) {
      const own = { ...parts, communicationMs: 400, exposedMs };
      window.add({ loss: 2, accuracy: 0, images: 64, seconds: 2.5, parts: own });
    }
    const ofHosts = window.averages()!;
    assert.ok(trainingReport(progress, ofHosts).details!.includes('wait for hosts  4 %'));
    assert.deepEqual(partsOfStep(ofHosts).slice(-2), [
      'communicating 400.0 ms',
      'exposed 100.0 ms',
    ]);
  });

  test('of --verbose divides the step into its parts', () => {
    assert.deepEqual(partsOfStep(averages), [
      'forward 500.0 ms',
      'backward 900.0 ms',
      'copying 75.0 ms',
      'waiting 250.0 ms',
      'update 125.0 ms',
      'data 25.0 ms',
    ]);
  });
});
