/** What a resumed run may change, and that a schedule which looks at the tests goes on exactly. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadRun, RunEvents, train, type TrainOptions } from 'twotower';
import { newFolder, TINY, writeTinyImages } from '../commands/command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const data = writeTinyImages(join(folder, 'data'));
/** 16 steps an epoch. */
const tiny = { config: TINY, data, cpu: 1, testLimit: 16 };

/** The rate of each epoch. */
function ratesOf(path: string): number[] {
  const rates: number[] = [];
  for (const event of loadRun(path).metrics) {
    if (event.event === 'train') rates[event.epoch - 1] = event.learningRate;
  }
  return rates;
}

test('a rate that falls on a plateau falls at the same epochs where the run is stopped between', async () => {
  // A rate of next to nothing: every test is like the first, so that the plateau is there from the start.
  const settings = [
    'training.learningRate=1e-9',
    'training.schedule={"type":"plateau","factor":0.5,"patience":2,"drops":3}',
  ];
  const straight = join(folder, 'straight');
  const parted = join(folder, 'parted');
  await train({ ...tiny, settings, out: straight, epochs: 6 });
  await train({ ...tiny, settings, out: parted, epochs: 2 });
  await train({ resume: parted, cpu: 1, testLimit: 16, epochs: 6 });
  assert.deepEqual(ratesOf(straight), [1e-9, 1e-9, 1e-9, 5e-10, 5e-10, 2.5e-10]);
  assert.deepEqual(ratesOf(parted), ratesOf(straight));
});

test('rate, schedule and batch of a run can change on resuming, and it says how', async () => {
  const out = join(folder, 'changed');
  await train({ ...tiny, out, epochs: 2, steps: 10 });
  const events = new RunEvents();
  let changes: string[] = [];
  events.on('start', (start) => (changes = start.changes));
  const settings = [
    'training.schedule={"type":"steps","at":[1],"factor":0.5}',
    'training.steps=null',
  ];
  const resumed = await train({
    ...{ resume: out, cpu: 1, testLimit: 16, events, settings },
    learningRate: 0.02,
    batch: 32,
  });
  assert.deepEqual(changes.sort(), [
    'training.batch: 16 → 32',
    'training.learningRate: 0.05 → 0.02',
    'training.schedule: {"type":"steps","at":[1],"factor":0.1} → {"type":"steps","at":[1],"factor":0.5}',
    'training.steps: 10 → null',
  ]);
  // 160 of the first epoch's 256 images were seen: 3 batches of 32 are left of it, and 8 of the second.
  assert.equal(resumed.steps, 10 + 3 + 8);
  assert.deepEqual(
    ratesOf(out).map((rate) => Number(rate.toPrecision(6))),
    [0.02, 0.01],
  );
});

test('a last test of ten crops that was stopped is made on resuming', async () => {
  const out = join(folder, 'stopped');
  const controller = new AbortController();
  const events = new RunEvents();
  let epochs = 0;
  events.on('test', () => epochs++);
  // After the epoch's own test there are only those of the last one.
  events.on('testing', () => epochs > 0 && controller.abort('SIGINT'));
  const settings = ['data.view={"type":"crop","from":40}', 'test.crops=10'];
  const options = { ...tiny, settings, epochs: 1 };
  const stopped = await train({ ...options, out, events, signal: controller.signal });
  assert.equal(stopped.status, 'interrupted');
  const resumed = await train({ resume: out, cpu: 1, testLimit: 16 });
  assert.equal(resumed.status, 'completed');
  assert.equal(resumed.steps, stopped.steps);
  await assert.rejects(train({ resume: out, cpu: 1 }), /the run is complete/);
  const straight = await train({ ...options, out: join(folder, 'not stopped') });
  assert.deepEqual(resumed.test, straight.test);
});

test('a change of the test is said', async () => {
  const out = join(folder, 'tested again');
  await train({ ...tiny, out, epochs: 1, settings: ['data.view={"type":"crop","from":40}'] });
  const events = new RunEvents();
  let changes: string[] = [];
  events.on('start', (start) => (changes = start.changes));
  await train({ resume: out, cpu: 1, testLimit: 16, events, settings: ['test.crops=10'] });
  assert.deepEqual(changes, ['test.crops: 1 → 10']);
});

test('a run that is stopped in the test of its last epoch is tested on resuming', async () => {
  const out = join(folder, 'untested');
  const controller = new AbortController();
  const events = new RunEvents();
  events.on('testing', () => controller.abort('SIGTERM'));
  const stopped = await train({ ...tiny, out, epochs: 1, events, signal: controller.signal });
  assert.deepEqual([stopped.status, stopped.test], ['interrupted', null]);
  const resumed = await train({ resume: out, cpu: 1, testLimit: 16 });
  const straight = await train({ ...tiny, out: join(folder, 'tested'), epochs: 1 });
  assert.deepEqual([resumed.status, resumed.test], ['completed', straight.test]);
  assert.deepEqual(
    loadRun(out).metrics.map(({ event, step }) => [event, step]),
    loadRun(straight.path).metrics.map(({ event, step }) => [event, step]),
  );
});

test('a run that is stopped before its first step goes on from its initial values', async () => {
  const out = join(folder, 'at once');
  const controller = new AbortController();
  const events = new RunEvents();
  events.on('start', () => controller.abort('SIGINT'));
  const stopped = await train({ ...tiny, out, steps: 2, events, signal: controller.signal });
  assert.deepEqual([stopped.status, stopped.steps], ['interrupted', 0]);
  const resumed = await train({ resume: out, cpu: 1, testLimit: 16 });
  const straight = await train({ ...tiny, out: join(folder, 'from the start'), steps: 2 });
  assert.deepEqual(resumed.test, straight.test);
});

test('a run goes on in the precision that it has, and says where it is given another', async () => {
  const out = join(folder, 'precise');
  await train({ ...tiny, out, steps: 1 });
  const changesOf = async (options: Partial<TrainOptions>): Promise<string[]> => {
    const events = new RunEvents();
    let changes: string[] = [];
    events.on('start', (start) => (changes = start.changes));
    await train({ resume: out, cpu: 1, testLimit: 16, events, ...options });
    return changes;
  };
  assert.deepEqual(await changesOf({ steps: 2 }), ['training.steps: 1 → 2']);
  await assert.rejects(changesOf({ steps: 3, precision: 'bf16', backend: 'wasm' }), /bf16/);
});

test('towers that are set are not those of the devices', async () => {
  const { placement } = await train({
    ...tiny,
    ...{ out: join(folder, 'towers'), steps: 1, settings: ['towers=2'] },
  });
  assert.deepEqual(
    placement.map(({ rank }) => rank),
    [0, 1],
  );
});

test('a loss of a test that is not finite ends the run, which goes on from the checkpoint before', async () => {
  const out = join(folder, 'not finite');
  await train({ ...tiny, out, epochs: 1 });
  // With a rate beyond all measure the last step of an epoch leaves parameters that no test survives.
  const settings = ['training.learningRate=1e36'];
  await assert.rejects(
    train({ resume: out, cpu: 1, testLimit: 16, settings, epochs: 2, steps: 17 }),
    /(step 17|the test after step 17): .* not finite.*the last checkpoint is .*step-16: continue with --resume/,
  );
  const resumed = await train({
    resume: out,
    cpu: 1,
    testLimit: 16,
    steps: 17,
    learningRate: 0.01,
  });
  assert.equal(resumed.status, 'completed');
});

test('a run that was killed between its last checkpoint and its end is ended on resuming', async () => {
  const out = join(folder, 'killed at the end');
  const whole = await train({ ...tiny, out, epochs: 1 });
  rmSync(join(out, 'summary.json'));
  const { status, test: tested, steps } = await train({ resume: out, cpu: 1, testLimit: 16 });
  assert.deepEqual([status, tested, steps], ['completed', whole.test, whole.steps]);
  await assert.rejects(train({ resume: out, cpu: 1 }), /the run is complete/);
});

test('four batches of 4 that make one update train as one of 16, and so does a run that goes on with them', async () => {
  const path = join(folder, 'whole batches');
  const losses = (of: string) =>
    [...loadRun(of).metrics].flatMap((event) => (event.event === 'train' ? [event.loss] : []));
  await train({ ...tiny, out: path, steps: 20 });
  const parted = { ...tiny, batch: 4, accumulate: 4 };
  const straight = join(folder, 'parted batches');
  await train({ ...parted, out: straight, steps: 20 });
  const resumed = join(folder, 'resumed in parts');
  await train({ ...tiny, out: resumed, steps: 7 });
  const changed = await train({
    resume: resumed,
    ...{ cpu: 1, testLimit: 16 },
    batch: 4,
    accumulate: 4,
    steps: 20,
  });
  assert.equal(changed.steps, 20);
  for (const other of [straight, resumed]) {
    losses(other).forEach((loss, step) => {
      const whole = losses(path)[step]!;
      // Sums in another order, carried on for twenty steps.
      assert.ok(Math.abs(loss - whole) <= 1e-5 * whole, `step ${step + 1}: ${loss} and ${whole}`);
    });
  }
});
