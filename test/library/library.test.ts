/** The package as a program imports it: by its name, which package.json's `exports` resolves. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { compare, evaluate, loadRun, RunEvents, train } from 'twotower';
import type { TrainedRun } from 'twotower';
import { newFolder, TINY, writeTinyImages } from '../commands/command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const data = writeTinyImages(join(folder, 'data'));
const tiny = { config: TINY, data, cpu: 2, testLimit: 32 };

suite('train', () => {
  const events = new RunEvents();
  const heard: string[] = [];
  const weights: number[] = [];
  let run: TrainedRun;

  before(async () => {
    events.on('start', ({ step, lastStep }) => heard.push(`start ${step} of ${lastStep}`));
    events.on('step', ({ step, stepsLeft }) => heard.push(`step ${step}, ${stepsLeft} left`));
    events.on('testing', ({ images, of }) => heard.push(`testing ${images} of ${of}`));
    events.on('test', ({ step, images }) => heard.push(`test ${step}, ${images}`));
    events.on('checkpoint', ({ step, parameters }) => {
      heard.push(`checkpoint ${step}`);
      weights.push(...parameters.get('conv1.weight')!.data.slice(0, 3));
    });
    events.on('end', ({ status }) => heard.push(status));
    run = await train({ ...tiny, out: join(folder, 'run'), steps: 2, events });
  });

  test('tells its course by events, in order', () => {
    assert.deepEqual(heard, [
      'start 0 of 2',
      'step 1, 1 left',
      'step 2, 0 left',
      'testing 16 of 32',
      'testing 32 of 32',
      'test 2, 32',
      'checkpoint 2',
      'completed',
    ]);
  });

  test('leaves a run that loadRun reads: metrics, summary and the parameters of the event', () => {
    const { metrics, summary, configuration, loadCheckpoint } = loadRun(run.path);
    assert.deepEqual(
      metrics.map(({ event, step }) => [event, step]),
      [
        ['train', 1],
        ['train', 2],
        ['test', 2],
      ],
    );
    assert.deepEqual({ ...summary, path: run.path }, run);
    assert.equal(configuration.training.steps, 2);
    const { model, state } = loadCheckpoint();
    assert.equal(state.progress.step, 2);
    assert.deepEqual([...model.get('conv1.weight')!.data.slice(0, 3)], weights);
  });

  test('is tested by evaluate with the same result, on another placement too', async () => {
    const { top1, loss, images } = await evaluate(run.path, { cpu: 1, testLimit: 32 });
    assert.equal(images, 32);
    assert.equal(top1, run.test!.top1);
    // Sums of float32 in another order: some ulps, 1.2e-7 of a loss near 2.3 each.
    assert.ok(Math.abs(loss - run.test!.loss) < 1e-5, `${loss} and ${run.test!.loss}`);
  });
});

test('an aborted run finishes its step, saves, and can be resumed', async () => {
  const controller = new AbortController();
  const events = new RunEvents();
  events.on('step', () => controller.abort());
  const out = join(folder, 'aborted');
  const aborted = await train({ ...tiny, out, steps: 3, events, signal: controller.signal });
  assert.deepEqual([aborted.status, aborted.steps], ['interrupted', 1]);
  const resumed = await train({ resume: out, cpu: 2, testLimit: 32 });
  assert.deepEqual([resumed.status, resumed.steps], ['completed', 3]);
});

test('an aborted comparison stops at its next turn with the reason', async () => {
  const events = new RunEvents();
  const controller = new AbortController();
  const turns: number[] = [];
  events.on('turn', ({ done }) => {
    turns.push(done);
    controller.abort(new Error('enough'));
  });
  const { signal } = controller;
  await assert.rejects(compare({ config: TINY, batch: 16, cpu: 2, steps: 5, events, signal }), {
    message: 'enough',
  });
  assert.deepEqual(turns, [1]);
});
