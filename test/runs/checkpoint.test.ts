import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { pack } from 'msgpackr';
import type { Network, Parameter } from '../../src/model/network.js';
import { fillNormal } from '../../src/random.js';
import {
  checkAgainst,
  checkpointFiles,
  latestCheckpoint,
  loadCheckpoint,
  saveCheckpoint,
  withTestResult,
  type Checkpoint,
  type TrainerState,
} from '../../src/runs/checkpoint.js';
import { openRunFolder, type RunFolder } from '../../src/runs/layout.js';
import type { TensorMap } from '../../src/runs/safetensors.js';
import { temporaryFolder } from './temporary.js';

function someRun(context: TestContext): RunFolder {
  const path = temporaryFolder(context);
  writeFileSync(join(path, 'config.json'), '{}\n');
  return openRunFolder(path);
}

function stateAt(step: number, best: { step: number; top1: number } | null = null): TrainerState {
  return {
    version: 1,
    step,
    epoch: 2,
    batchInEpoch: 5,
    seed: 17,
    towers: 2,
    datasetName: 'generated',
    testTop1: null,
    bestTop1: best?.top1 ?? null,
    bestStep: best?.step ?? null,
    batch: 64,
    versions: { twotower: '0.1.0' },
  };
}

function tensorsOf(step: number, offset: number): TensorMap {
  const data = new Float32Array(12);
  fillNormal([step, offset], 0, 1, data);
  return new Map([
    ['conv1.weight', { shape: [2, 6], data: data.subarray(0, 12) }],
    ['conv1.bias', { shape: [2], data: data.subarray(0, 2) }],
  ]);
}

function checkpointAt(
  step: number,
  best: { step: number; top1: number } | null = null,
): Checkpoint {
  return {
    state: stateAt(step, best),
    model: tensorsOf(step, 1),
    optimizer: tensorsOf(step, 2),
  };
}

function valuesOf(tensors: TensorMap): [string, number[], number[]][] {
  return [...tensors].map(([name, { shape, data }]) => [name, shape, [...data]]);
}

function assertSame(actual: Checkpoint, expected: Checkpoint): void {
  assert.deepEqual(actual.state, expected.state);
  assert.deepEqual(valuesOf(actual.model), valuesOf(expected.model));
  assert.deepEqual(valuesOf(actual.optimizer), valuesOf(expected.optimizer));
}

suite('checkpoint', () => {
  test('state, parameters and momentum come back to the bit', (context) => {
    const run = someRun(context);
    const path = saveCheckpoint(run, checkpointAt(7, { step: 3, top1: 0.1 + 0.2 }));
    assert.equal(path, join(run.path, 'checkpoints', 'step-7'));
    assertSame(loadCheckpoint(path), checkpointAt(7, { step: 3, top1: 0.1 + 0.2 }));
  });

  test('the latest is that of the highest step, as a number', (context) => {
    const run = someRun(context);
    for (const step of [8, 9, 10]) saveCheckpoint(run, checkpointAt(step));
    assert.equal(latestCheckpoint(run), join(run.checkpoints, 'step-10'));
  });

  test('a run without any has no latest', (context) => {
    assert.equal(latestCheckpoint(someRun(context)), undefined);
  });

  test('the last three stay', (context) => {
    const run = someRun(context);
    for (const step of [1, 2, 3, 4, 5]) saveCheckpoint(run, checkpointAt(step));
    assert.deepEqual(readdirSync(run.checkpoints).sort(), ['step-3', 'step-4', 'step-5']);
  });

  test('the best stays besides the last three', (context) => {
    const run = someRun(context);
    const best = { step: 2, top1: 0.5 };
    saveCheckpoint(run, checkpointAt(1));
    for (const step of [2, 3, 4, 5, 6]) saveCheckpoint(run, checkpointAt(step, best));
    assert.deepEqual(readdirSync(run.checkpoints).sort(), ['step-2', 'step-4', 'step-5', 'step-6']);
  });

  test('one of the same step is replaced', (context) => {
    const run = someRun(context);
    saveCheckpoint(run, checkpointAt(4));
    const later = checkpointAt(4, { step: 4, top1: 0.25 });
    assertSame(loadCheckpoint(saveCheckpoint(run, later)), later);
    assert.deepEqual(readdirSync(run.checkpoints), ['step-4']);
  });
});

suite('best test', () => {
  test('the first test is the best', () => {
    const { testTop1, bestTop1, bestStep } = withTestResult(stateAt(5), 0);
    assert.deepEqual({ testTop1, bestTop1, bestStep }, { testTop1: 0, bestTop1: 0, bestStep: 5 });
  });

  test('a better one takes its place', () => {
    const { bestTop1, bestStep } = withTestResult(stateAt(9, { step: 5, top1: 0.5 }), 0.75);
    assert.deepEqual({ bestTop1, bestStep }, { bestTop1: 0.75, bestStep: 9 });
  });

  test('an equal one leaves the earlier', () => {
    const { testTop1, bestStep } = withTestResult(stateAt(9, { step: 5, top1: 0.5 }), 0.5);
    assert.deepEqual({ testTop1, bestStep }, { testTop1: 0.5, bestStep: 5 });
  });
});

suite('a save that is cut off', () => {
  test('leaves nothing of it and the earlier checkpoint', (context) => {
    const run = someRun(context);
    const earlier = saveCheckpoint(run, checkpointAt(1));
    const failing = checkpointAt(2);
    failing.optimizer.set('conv1.bias', {
      shape: [2],
      get data(): Float32Array {
        throw new Error('no space left on device');
      },
    });
    assert.throws(() => saveCheckpoint(run, failing), {
      name: 'UserError',
      message: /cannot write the checkpoint .*step-2.*no space left/,
    });
    assert.deepEqual(readdirSync(run.checkpoints), ['step-1']);
    assertSame(loadCheckpoint(earlier), checkpointAt(1));
  });

  test('by the file size limit of the system is reported and leaves nothing', (context) => {
    const run = someRun(context);
    // 64 blocks of 512 or 1024 bytes, as the shell counts them, against 4 MiB.
    const { stdout } = spawnSync(
      'sh',
      ['-c', 'ulimit -f 64 && exec "$0" "$@"', process.execPath, ...childSaving(run, 1 << 20)],
      { encoding: 'utf8' },
    );
    assert.match(stdout, /^UserError: cannot write the checkpoint .*EFBIG/m);
    assert.deepEqual(readdirSync(run.checkpoints), []);
  });

  test('by SIGKILL leaves the earlier checkpoints, and the next save clears its rest', (context) => {
    const run = someRun(context);
    const { signal } = spawnSync(process.execPath, childSaving(run, 1000));
    assert.equal(signal, 'SIGKILL');
    const [hidden, ...whole] = readdirSync(run.checkpoints).sort();
    assert.match(hidden!, /^\.step-3\.partial-\d+$/);
    assert.deepEqual(whole, ['step-1', 'step-2']);
    assert.equal(loadCheckpoint(latestCheckpoint(run)!).state.step, 2);
    saveCheckpoint(run, checkpointAt(3));
    assert.deepEqual(readdirSync(run.checkpoints).sort(), ['step-1', 'step-2', 'step-3']);
  });

  test('a partial folder is not taken for a checkpoint', (context) => {
    const run = someRun(context);
    mkdirSync(join(run.checkpoints, '.step-9.partial-1'), { recursive: true });
    assert.equal(latestCheckpoint(run), undefined);
  });

  test('between the two renames of a replacement brings the replaced one back', (context) => {
    const run = someRun(context);
    const path = saveCheckpoint(run, checkpointAt(4));
    renameSync(path, join(run.checkpoints, '.step-4.replaced-1'));
    assert.equal(latestCheckpoint(run), path);
    assertSame(loadCheckpoint(path), checkpointAt(4));
  });
});

/**
 * Arguments of a Node process that saves checkpoints 1, 2 and 3 of `values` float32 a tensor, and prints
 * the error that stops it. It kills itself in the third, between the model and the optimizer's data.
 */
function childSaving(run: RunFolder, values: number): string[] {
  const checkpointModule = import.meta.resolve('../../src/runs/checkpoint.js');
  const runModule = import.meta.resolve('../../src/runs/layout.js');
  const code = `
    import { saveCheckpoint } from ${JSON.stringify(checkpointModule)};
    import { openRunFolder } from ${JSON.stringify(runModule)};
    const run = openRunFolder(${JSON.stringify(run.path)});
    const data = new Float32Array(${values}).fill(1.5);
    const shape = [data.length];
    const model = new Map([['w', { shape, data }]]);
    let uses = 0;
    const killing = { shape, get data() { if (++uses > 1) process.kill(process.pid, 'SIGKILL'); return data; } };
    try {
      for (const step of [1, 2, 3]) {
        const optimizer = step < 3 ? model : new Map([['w', killing]]);
        saveCheckpoint(run, { state: { ...${JSON.stringify(stateAt(0))}, step }, model, optimizer });
      }
    } catch (error) {
      console.log(error.name + ': ' + error.message);
    }`;
  return ['--input-type=module', '--eval', code];
}

suite('checkpoint refused', () => {
  const states: [string, Uint8Array, RegExp][] = [
    ['a state of an unknown version', pack({ ...stateAt(1), version: 2 }), /version 2/],
    ['a state that is cut off', pack(stateAt(1)).subarray(0, 20), /malformed/],
    ['a state that is no object', pack('step 1'), /malformed/],
    ['a state without step', pack({ ...stateAt(1), step: undefined }), /no valid step/],
    ['a state with a negative epoch', pack({ ...stateAt(1), epoch: -1 }), /no valid epoch/],
  ];
  for (const [name, bytes, problem] of states) {
    test(name, (context) => {
      const path = saveCheckpoint(someRun(context), checkpointAt(1));
      const file = checkpointFiles(path).state;
      writeFileSync(file, bytes);
      assert.throws(
        () => loadCheckpoint(path),
        (error: Error) =>
          error.name === 'UserError' &&
          error.message.startsWith(file) &&
          problem.test(error.message),
      );
    });
  }

  test('a missing file is named', (context) => {
    const path = saveCheckpoint(someRun(context), checkpointAt(1));
    rmSync(checkpointFiles(path).optimizer);
    assert.throws(() => loadCheckpoint(path), {
      name: 'UserError',
      message: /optimizer\.safetensors/,
    });
  });
});

suite('parameters against a network', () => {
  const parameter = (name: string, shape: number[]): Parameter => ({
    name,
    layer: name.split('.')[0]!,
    shape,
    fanIn: 6,
    initialization: 0,
    learningRateMultiplier: 1,
    followsSchedule: true,
    weightDecayMultiplier: 1,
  });
  const network: Network = {
    towers: 1,
    classes: 2,
    input: { height: 1, width: 1, channels: 6 },
    layers: [],
    parameters: [parameter('conv1.weight', [2, 6]), parameter('conv1.bias', [2])],
    parameterCount: 14,
    macs: 12,
  };

  test('the same names and shapes pass', () => {
    assert.doesNotThrow(() => checkAgainst(network, tensorsOf(1, 1), 'model'));
  });

  test('a missing parameter is named', () => {
    const tensors = tensorsOf(1, 1);
    tensors.delete('conv1.bias');
    assert.throws(() => checkAgainst(network, tensors, 'runs/a/model'), {
      name: 'UserError',
      message: 'runs/a/model is a checkpoint of another network: it has no conv1.bias',
    });
  });

  test('a parameter too many is named', () => {
    const tensors = tensorsOf(1, 1);
    tensors.set('conv2.bias', { shape: [1], data: Float32Array.of(1) });
    assert.throws(() => checkAgainst(network, tensors, 'model'), {
      message: /the network has no conv2\.bias/,
    });
  });

  test('both shapes of a parameter are named', () => {
    const tensors = tensorsOf(1, 1);
    tensors.get('conv1.weight')!.shape = [6, 2];
    assert.throws(() => checkAgainst(network, tensors, 'model'), {
      message: /its conv1\.weight is \[6, 2\], the network's \[2, 6\]/,
    });
  });
});
