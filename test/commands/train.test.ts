import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Configuration } from '../../src/configuration.js';
import { openRunFolder } from '../../src/runs/layout.js';
import type { TestEvent } from '../../src/runs/metrics.js';
import { readMetrics } from '../../src/runs/metrics_log.js';
import { readSummary, type LastTest } from '../../src/runs/summary.js';
import { readStatistics } from '../../src/data/statistics.js';
import { readSafetensors } from '../../src/runs/safetensors.js';
import {
  newFolder,
  succeeds,
  TINY,
  twotower,
  writeTinyImages,
  type Outcome,
} from './command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const data = writeTinyImages(join(folder, 'data'));
const at = (...path: string[]): string => join(folder, ...path);
const json = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'));

function testsOf(name: string): TestEvent[] {
  return readMetrics(openRunFolder(at(name))).filter((event) => event.event === 'test');
}

const TRAIN = ['train', '--config', TINY, '--data', data];

suite('a run', () => {
  let trained: Outcome;

  before(async () => {
    const limits = ['--steps', '20', '--epochs', '5', '--log-every', '8', '--test-limit', '40'];
    trained = await succeeds([...TRAIN, '--gpus', '0,1', '--out', at('run'), ...limits]);
  });

  test('has the files of a run folder and no others', () => {
    assert.deepEqual(readdirSync(at('run')).sort(), [
      'checkpoints',
      'config.json',
      'metrics.jsonl',
      'summary.json',
      'tensorboard',
      'test.json',
    ]);
    const checkpoints = readdirSync(at('run', 'checkpoints')).sort();
    assert.deepEqual(checkpoints, ['step-16', 'step-20']);
    for (const checkpoint of checkpoints) {
      assert.deepEqual(readdirSync(at('run', 'checkpoints', checkpoint)).sort(), [
        'checksums.json',
        'model.safetensors',
        'optimizer.safetensors',
        'state.msgpack',
      ]);
    }
  });

  test('has the resolved configuration in config.json', () => {
    const tiny = json(TINY) as Configuration;
    assert.deepEqual(json(at('run', 'config.json')), {
      ...tiny,
      data: { ...tiny.data, directory: data },
      training: { ...tiny.training, epochs: 5, steps: 20 },
    });
  });

  test('has a train event a step and a test event at each end of an epoch and of the run', () => {
    const events = readMetrics(openRunFolder(at('run')));
    const train = events.filter(({ event }) => event === 'train');
    assert.deepEqual(
      train.map(({ step, epoch }) => [step, epoch]),
      Array.from({ length: 20 }, (_, index) => [index + 1, index < 16 ? 1 : 2]),
    );
    assert.deepEqual(
      testsOf('run').map(({ step, epoch }) => [step, epoch]),
      [
        [16, 1],
        [20, 2],
      ],
    );
    const keys =
      'event step epoch loss accuracy learningRate imagesPerSecond dataWaitMs stepMs ' +
      'forwardMs backwardMs exchangeMs exchangeWaitMs updateMs exchangeBytes';
    assert.deepEqual(Object.keys(train[0]!), keys.split(' '));
    assert.deepEqual(Object.keys(testsOf('run')[0]!), 'event step epoch loss top1 top5'.split(' '));
  });

  test('has a summary of what was done, where, and what was asked for', () => {
    const summary = readSummary(openRunFolder(at('run')));
    const { wallSeconds, imagesPerSecond, backend, warnings, ...rest } = summary;
    const { loss, top1, top5 } = testsOf('run').at(-1)!;
    assert.deepEqual(rest, {
      status: 'completed',
      epochs: 1,
      steps: 20,
      skipped: 0,
      restarts: 0,
      undecodable: [],
      parameters: 8490,
      test: { loss, top1, top5 },
      placement: [
        { rank: 0, device: 'cpu', requested: 'gpu:0' },
        { rank: 1, device: 'cpu', requested: 'gpu:1' },
      ],
    });
    assert.ok(wallSeconds > 0 && imagesPerSecond > 0);
    assert.match(backend, /^(native|tensorflow|wasm)/);
    assert.ok(warnings.some((warning) => /gpu:0 and gpu:1 are carried out by CPU/.test(warning)));
  });

  test('warns on stderr that CPUs stand in for GPUs', () => {
    assert.match(trained.stderr, /^warning: no usable GPU on this host: gpu:0 and gpu:1 are /m);
  });

  test('prints a line every --log-every batches and at the end of the epoch', () => {
    const lines = trained.stdout.split('\n');
    const batches = lines.flatMap((line) => /^epoch (\d)\/5 +batch +(\d+)\/16 /.exec(line) ?? []);
    assert.deepEqual(
      batches.filter((_, index) => index % 3 !== 0),
      ['1', '8', '1', '16'],
    );
  });

  test('tests the first --test-limit images only', () => {
    assert.match(trained.stdout, /^epoch 2 test: top-1 .* 40 images$/m);
    // Accuracies are counts of 40 images.
    assert.ok(Number.isInteger(Number((testsOf('run')[0]!.top1 * 40).toFixed(9))));
  });

  test('is evaluated to the same result, as one JSON object on stdout', async () => {
    const limit = ['--data', data, '--test-limit', '40', '--json'];
    const { stdout } = await succeeds(['evaluate', at('run'), '--cpu', '2', ...limit]);
    const { step, ...lastTest } = json(at('run', 'test.json')) as LastTest;
    const { loss, top1, top5 } = testsOf('run').at(-1)!;
    const runs = [{ path: at('run'), loss, top1, top5 }];
    assert.deepEqual(JSON.parse(stdout), { ...lastTest, runs });
    assert.deepEqual([step, lastTest.loss, lastTest.top1, lastTest.top5], [20, loss, top1, top5]);
    const counts = lastTest.confusion.flat();
    assert.deepEqual([lastTest.images, counts.reduce((sum, count) => sum + count)], [40, 40]);
  });

  test('is evaluated to the same result on another placement, to rounding', async () => {
    const limit = ['--test-limit', '40', '--json'];
    const { stdout } = await succeeds(['evaluate', at('run'), '--cpu', '1', ...limit]);
    const grouped = JSON.parse(stdout) as TestEvent;
    const split = testsOf('run').at(-1)!;
    // The mean of 40 cross-entropies of about 2.3, each from sums of up to 400 products that float32
    // rounds at 6e-8: √400 · 6e-8 = 1e-6.
    assert.ok(Math.abs(grouped.loss - split.loss) < 1e-6 * split.loss);
    assert.equal(grouped.top1, split.top1);
  });

  test('is exported and comes back by --init with the same test, to the bit', async () => {
    const file = at('exported.safetensors');
    await succeeds(['export', at('run'), '--format', 'safetensors', file]);
    // A step whose update rounds to nothing, so that the test is of the file's parameters.
    const step = ['--steps', '1', '--lr', '1e-30', '--set', 'training.weightDecay=0'];
    const limit = ['--test-limit', '40', '--cpu', '2', '--out', at('initialized')];
    await succeeds([...TRAIN, ...step, ...limit, '--init', file]);
    const { loss, top1, top5 } = testsOf('run').at(-1)!;
    const { loss: again, top1: again1, top5: again5 } = testsOf('initialized')[0]!;
    assert.deepEqual([again, again1, again5], [loss, top1, top5]);
  });

  test('exports its parameters as an ONNX model of any batch', async () => {
    const file = at('run.onnx');
    await succeeds(['export', at('run'), '--format', 'onnx', '--batch', 'dynamic', file]);
    const bytes = readFileSync(file);
    const kernels = readSafetensors(at('run', 'checkpoints', 'step-20', 'model.safetensors'));
    for (const [name, { data }] of kernels) {
      const stored = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      assert.ok(bytes.includes(stored), `${name} is not in the model`);
    }
    assert.ok(bytes.includes('logits') && bytes.includes('images'));
  });

  test('refuses a batch for a file of parameters alone', async () => {
    const { code, stderr } = await twotower(['export', at('run'), at('x'), '--batch', '4']);
    assert.equal(code, 1);
    assert.match(stderr, /--batch only works with --format onnx/);
  });

  test('is not exported over a file that exists', async () => {
    const file = at('mine.txt');
    writeFileSync(file, 'mine');
    const { code, stderr } = await twotower(['export', at('run'), file]);
    assert.equal(code, 1);
    assert.equal(stderr, `twotower: ${file} exists: name another file or remove it\n`);
    assert.equal(readFileSync(file, 'utf8'), 'mine');
  });

  test('goes on with another rate, which its config.json then says', async () => {
    cpSync(at('run'), at('continued'), { recursive: true });
    const longer = ['--steps', '21', '--lr', '0.001', '--test-limit', '16', '--cpu', '2'];
    await succeeds(['train', '--resume', at('continued'), ...longer]);
    const { training } = json(at('continued', 'config.json')) as Configuration;
    assert.equal(training.learningRate, 0.001);
    const last = readMetrics(openRunFolder(at('continued'))).findLast(
      (event) => event.event === 'train',
    )!;
    // The tiny schedule divides by 10 after the first epoch.
    assert.deepEqual([last.step, last.learningRate], [21, 0.0001]);
  });
});

test('a run of ten crops ends with a test of ten, its epochs with tests of the centre', async () => {
  const view = ['--set', 'data.view={"type":"crop","from":48}', '--set', 'test.crops=10'];
  const limits = ['--steps', '1', '--test-limit', '5', '--cpu', '1', '--towers', '2'];
  const { stdout } = await succeeds([...TRAIN, ...view, ...limits, '--out', at('crops')]);
  assert.match(stdout, /^epoch 1 test: .*5 images$/m);
  assert.match(stdout, /^test, 10 crops: .*5 images$/m);
  const { crops, images, loss, top1, top5 } = json(at('crops', 'test.json')) as LastTest;
  assert.deepEqual([crops, images], [10, 5]);
  assert.deepEqual(readSummary(openRunFolder(at('crops'))).test, { loss, top1, top5 });
});

test('colour noise and the mean image come from statistics that the run keeps and is tested with', async () => {
  const set = [
    ...['--set', 'data.view={"type":"crop","from":40}', '--set', 'data.mean=image'],
    ...['--set', 'data.colour={"deviation":0.1,"scale":"standardDeviation","until":null}'],
  ];
  const limits = ['--steps', '2', '--test-limit', '20', '--cpu', '1', '--towers', '2'];
  await succeeds([...TRAIN, ...set, ...limits, '--out', at('colours')]);
  const kept = readStatistics(at('colours', 'statistics.msgpack'));
  assert.deepEqual([kept.images, kept.height, kept.width], [256, 40, 40]);
  const evaluate = ['evaluate', at('colours'), '--test-limit', '20', '--cpu', '1', '--json'];
  const { stdout } = await succeeds(evaluate);
  const { step, ...lastTest } = json(at('colours', 'test.json')) as LastTest;
  assert.equal(step, 2);
  const { loss, top1, top5 } = lastTest;
  const runs = [{ path: at('colours'), loss, top1, top5 }];
  assert.deepEqual(JSON.parse(stdout), { ...lastTest, runs });
});

suite('a loss that is not finite', () => {
  let outcome: Outcome;
  /** The last step whose loss and gradients were finite. */
  let good: number;

  before(async () => {
    outcome = await twotower([...TRAIN, '--cpu', '2', '--lr', '1e30', '--out', at('diverged')]);
    good = readMetrics(openRunFolder(at('diverged'))).at(-1)!.step;
  });

  test('ends the run with one line that names the step and the remedy', () => {
    assert.equal(outcome.code, 1);
    const [, step, last] =
      /^twotower: step (\d+): the output of .* on rank \d is not finite; the parameters stay at step (\d+): lower --lr, .*; .* has no checkpoint to continue from: start a new run\n$/.exec(
        ownLines(outcome),
      ) ?? [];
    assert.deepEqual([step, last], [`${good + 1}`, `${good}`], outcome.stderr);
  });

  test('is in the summary of the run', () => {
    const { status, error, steps } = readSummary(openRunFolder(at('diverged')));
    assert.equal(status, 'failed');
    assert.equal(`twotower: ${error}\n`, ownLines(outcome));
    assert.equal(steps, good);
  });

  test('saves nothing of the parameters that led there, which no test has seen', () => {
    assert.equal(existsSync(at('diverged', 'checkpoints')), false);
  });
});

test('an image that cannot be decoded is named, and the run failed', async () => {
  const images = at('images');
  for (const split of ['train', 'test']) {
    for (const label of ['a', 'b']) {
      mkdirSync(join(images, split, label), { recursive: true });
      for (let index = 0; index < 8; index++) {
        writeFileSync(join(images, split, label, `${index}.png`), 'no image');
      }
    }
  }
  const outcome = await twotower([
    ...['train', '--config', TINY, '--data', images, '--cpu', '2', '--out', at('undecodable')],
  ]);
  assert.equal(outcome.code, 1);
  assert.match(
    ownLines(outcome),
    /^twotower: .*images\/train\/[ab]\/\d\.png cannot be decoded \(.*\), nor can 15 other train images, more than 1 % of 16: replace .*\n$/,
  );
  assert.equal(readSummary(openRunFolder(at('undecodable'))).status, 'failed');
  assert.deepEqual(readdirSync(at('undecodable', 'checkpoints')), ['step-0']);
});

/** Of stderr, without the warnings and what TensorFlow's library logs while it starts. */
function ownLines({ stderr }: Outcome): string {
  return stderr
    .split('\n')
    .filter((line) => !/^(warning: |WARNING: All log messages |I0000 )/.test(line))
    .join('\n');
}
