/** Runs on data with other numbers and other orders of classes. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import sharp from 'sharp';
import { checkGradients } from '../../src/library/check_gradients.js';
import { evaluate } from '../../src/library/evaluate.js';
import { exportModel } from '../../src/library/export.js';
import { loadRun } from '../../src/library/load_run.js';
import { train } from '../../src/library/train.js';
import { visualize } from '../../src/library/visualize.js';
import { RunEvents } from '../../src/runs/events.js';
import { userError } from '../data/user_error.js';

const TINY = 'test/fixtures/tiny.json';
const folder = mkdtempSync(join(tmpdir(), 'twotower-'));
after(() => rmSync(folder, { recursive: true }));

/** Flat images of one hue per class, slightly different, in train and val. */
async function writeClasses(name: string, classes: string[]): Promise<string> {
  for (const [label, name_] of classes.entries()) {
    for (const [split, count] of [
      ['train', 8],
      ['val', 4],
    ] as const) {
      const place = join(folder, name, split, name_);
      mkdirSync(place, { recursive: true });
      for (let at = 0; at < count; at++) {
        const [r, g, b] = [(label * 97) % 256, (label * 53 + 90) % 256, (at * 9) % 60];
        const flat = {
          create: { width: 32, height: 32, channels: 3 as const, background: { r, g, b } },
        };
        await sharp(flat)
          .png({ compressionLevel: 1 })
          .toFile(join(place, `${at}.png`));
      }
    }
  }
  return join(folder, name);
}

const five = await writeClasses('five', ['a', 'b', 'c', 'd', 'e']);
const limits = { config: TINY, data: five, batch: 8, steps: 4, epochs: 1 };

const lossesOf = (path: string) =>
  [...loadRun(path).metrics].flatMap((event) => (event.event === 'train' ? [event.loss] : []));

suite('five classes in two towers', () => {
  test('train on two workers as on one, and their checkpoint loads into either', async () => {
    const split = await train({ ...limits, cpu: 2, out: join(folder, 'split') });
    const grouped = await train({ ...limits, cpu: 1, towers: 2, out: join(folder, 'grouped') });
    const [one, two] = [lossesOf(split.path), lossesOf(grouped.path)];
    assert.equal(one.length, 4);
    one.forEach((loss, step) =>
      assert.ok(Math.abs(loss - two[step]!) < 1e-4, `${loss} ${two[step]}`),
    );
    const onOne = await evaluate(split.path, { cpu: 1 });
    const onTwo = await evaluate(split.path, { cpu: 2 });
    assert.ok(Math.abs(onOne.loss - onTwo.loss) < 1e-4, `${onOne.loss} ${onTwo.loss}`);
  });

  test('have gradients that finite differences confirm, on two workers', async () => {
    const checks = await checkGradients({ config: TINY, data: five, batch: 8, cpu: 2 });
    const last = checks.filter(({ parameter }) => parameter.startsWith('fc'));
    assert.ok(last.length > 0);
    last.forEach(({ parameter, relativeError }) =>
      assert.ok(!(relativeError > 0.05), `${parameter}: ${relativeError}`),
    );
  });

  test('are exported whole, to PyTorch, ONNX and TensorFlow.js', () => {
    for (const format of ['safetensors', 'onnx', 'tfjs'] as const) {
      exportModel(join(folder, 'split'), join(folder, `model.${format}`), { format });
    }
  });
});

suite('a run on data with other classes than its own', () => {
  test('judges the same images alike, whatever the order of the classes', async () => {
    const run = join(folder, 'split');
    const expected = await evaluate(run, { cpu: 1 });
    // The same images in folders of other names, whose order is another.
    const other = await writeClasses('other', ['a', 'b', 'c', 'd', 'e']);
    const map = { a: '9', b: '3', c: '5', d: '1', e: '7' };
    for (const [name, renamed] of Object.entries(map)) {
      for (const split of ['train', 'val'])
        renameSync(join(other, split, name), join(other, split, renamed));
    }
    await assert.rejects(
      evaluate(run, { cpu: 1, data: other }),
      userError('only the data has 1, 3, 5', 'only the run has a, b, c', '--classes FILE'),
    );
    const file = join(folder, 'classes.csv');
    writeFileSync(
      file,
      Object.entries(map)
        .map(([name, renamed]) => `${renamed},${name}\n`)
        .join(''),
    );
    const mapped = await evaluate(run, { cpu: 1, data: other, classes: file });
    assert.deepEqual(
      { top1: mapped.top1, confusion: mapped.confusion },
      { top1: expected.top1, confusion: expected.confusion },
    );
    await visualize(run, {
      figure: 'predictions',
      data: other,
      classes: file,
      cpu: 1,
      images: 2,
      out: join(folder, 'figure.png'),
    });
  });

  test('is not resumed on it', async () => {
    const renamed = await writeClasses('renamed', ['a', 'b', 'c', 'd', 'f']);
    await assert.rejects(
      train({ resume: join(folder, 'split'), data: renamed, cpu: 1, steps: 5 }),
      userError('only the data has f', 'only the run has e'),
    );
  });
});

suite('a network that was trained on five classes goes on with three', () => {
  const settings = [0, 4, 8].flatMap((layer) => [
    `network.layers.${layer}.weight.learningRate=0`,
    `network.layers.${layer}.bias.learningRate=0`,
  ]);
  const onThree = async () => ({
    ...{ config: TINY, data: await writeClasses('three', ['x', 'y', 'z']) },
    ...{ batch: 8, steps: 3, cpu: 2, init: join(folder, 'split') },
  });
  const parametersOf = (path: string) =>
    new Map([...loadRun(path).loadCheckpoint().model].map(([name, { data }]) => [name, data]));

  test('with a new last layer; the others are the first run’s, and stay where they are frozen', async () => {
    const out = join(folder, 'three classes');
    await train({ ...(await onThree()), settings, initExcept: ['fc2'], out });
    const [before, after] = [parametersOf(join(folder, 'split')), parametersOf(out)];
    for (const layer of ['conv1', 'conv2', 'conv3']) {
      const name = `${layer}.weight`;
      assert.deepEqual(after.get(name), before.get(name), name);
    }
    assert.notDeepEqual(after.get('fc1.weight'), before.get('fc1.weight'));
    assert.equal(after.get('fc2.bias')!.length, 3);
  });

  test('and is refused without saying which layer is new, or with one that it lacks', async () => {
    const options = await onThree();
    await assert.rejects(
      train({ ...options, out: join(folder, 'none') }),
      userError('fc2.weight is [5,', "the network's [3,", '--init-except fc2'),
    );
    await assert.rejects(
      train({ ...options, initExcept: ['fc3'], out: join(folder, 'none') }),
      userError('"fc3"', 'conv1, conv2, conv3, fc1, fc2'),
    );
  });
});

suite('validation images', () => {
  test('are what a run is tested on, and fold back into training', async () => {
    const tested: number[] = [];
    const events = new RunEvents();
    events.on('test', ({ images }) => tested.push(images));
    const settings = ['data.validation=0.25'];
    const out = join(folder, 'validated');
    const { path } = await train({
      ...limits,
      settings,
      steps: undefined,
      cpu: 1,
      towers: 2,
      events,
      out,
    });
    assert.deepEqual(tested, [10]);
    assert.equal((await evaluate(path, { cpu: 1 })).images, 20);
    const more = { resume: path, settings: ['data.validation=0'], epochs: 2, cpu: 1, events };
    const { steps } = await train(more);
    // 30 images make 3 batches of 8, all 40 make 5; then the test set is tested.
    assert.deepEqual([steps, tested], [3 + 5, [10, 20]]);
  });

  suite('until an epoch', () => {
    const settings = ['data.validation=0.25', 'data.validationUntil=2'];
    const recipe = { ...limits, settings, steps: undefined, cpu: 1, towers: 2, epochs: 4 };
    const places: string[] = [];

    test('are tested on so long, then trained on, and the test set is seen once, at the end', async () => {
      const tested: [number, number][] = [];
      const events = new RunEvents();
      events.on('test', ({ epoch, images }) => tested.push([epoch, images]));
      events.on('step', ({ epoch, batch }) => places.push(`${epoch}:${batch}`));
      const { steps, status, path } = await train({
        ...recipe,
        events,
        out: join(folder, 'until'),
      });
      assert.deepEqual([status, steps], ['completed', 2 * 3 + 2 * 5]);
      assert.deepEqual(tested, [
        [1, 10],
        [2, 10],
        [4, 20],
      ]);
      await assert.rejects(train({ resume: path, cpu: 1 }), /the run is complete/);
    });

    test('have steps that are counted from the first to the last batch of each epoch', () => {
      const counted = (epoch: number, batches: number) =>
        Array.from({ length: batches }, (_, index) => `${epoch}:${index + 1}`);
      assert.deepEqual(
        places,
        [3, 3, 5, 5].flatMap((n, epoch) => counted(epoch + 1, n)),
      );
    });

    // At the end of the first phase, and within the second.
    for (const stop of [6, 8]) {
      test(`give the same run if it is stopped after step ${stop} and resumed`, async () => {
        const straight = join(folder, 'until');
        const out = join(folder, `stopped at ${stop}`);
        const controller = new AbortController();
        const events = new RunEvents();
        events.on('step', ({ step }) => step === stop && controller.abort('SIGINT'));
        const stopped = await train({ ...recipe, events, signal: controller.signal, out });
        assert.deepEqual([stopped.status, stopped.steps], ['interrupted', stop]);
        const { steps, status } = await train({ resume: out, cpu: 1 });
        assert.deepEqual([status, steps], ['completed', 16]);
        assert.deepEqual(lossesOf(out), lossesOf(straight));
      });
    }

    test('do not hide the steps after that epoch from what is said to be left', async () => {
      const controller = new AbortController();
      const events = new RunEvents();
      const ends: number[] = [];
      events.on('start', ({ lastStep }) => ends.push(lastStep));
      events.on('step', ({ step, stepsLeft }) => {
        ends.push(step + stepsLeft);
        controller.abort('SIGINT');
      });
      const out = join(folder, 'stopped at 1');
      await train({ ...recipe, events, signal: controller.signal, out });
      assert.deepEqual(ends, [16, 16]);
    });

    test('are refused to join the training images of which they are no part', async () => {
      const data = join(folder, 'with val and test');
      cpSync(five, data, { recursive: true });
      cpSync(join(data, 'val'), join(data, 'test'), { recursive: true });
      await assert.rejects(
        train({ ...recipe, data, settings: ['data.validationUntil=2'] }),
        userError('data.validationUntil', 'set data.validation to their share'),
      );
    });
  });
});
