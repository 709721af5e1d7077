import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { LockLost } from '../../src/folder_lock.js';
import { chooseCheckpoint } from '../../src/runs/checkpoint_reader.js';
import { SaveError, writeCheckpoint } from '../../src/runs/checkpoint_writer.js';
import type { RunFolder } from '../../src/runs/layout.js';
import { readTensors, requestAt, save, someRun, stateAt, tensorsAt, valuesOf } from './some_run.js';

function namesIn(run: RunFolder): string[] {
  return readdirSync(run.checkpoints).sort();
}

suite('a checkpoint that is written', () => {
  test('comes back to the bit', (context) => {
    const run = someRun(context);
    const path = writeCheckpoint({ ...requestAt(run, 7, { isTested: true }), metricsBytes: 0 });
    assert.equal(path, join(run.path, 'checkpoints', 'step-7'));
    const checkpoint = chooseCheckpoint(run);
    const { progress, classes } = stateAt(7, { isTested: true });
    assert.deepEqual([checkpoint.state.progress, checkpoint.state.classes], [progress, classes]);
    const [read, written] = [readTensors(checkpoint), tensorsAt(7)];
    assert.deepEqual(valuesOf(read.model), valuesOf(written.model));
    assert.deepEqual(valuesOf(read.optimizer), valuesOf(written.optimizer));
  });

  test('keeps the newest three', (context) => {
    const run = someRun(context);
    for (const step of [1, 2, 3, 9, 10]) save(run, step);
    assert.deepEqual(namesIn(run), ['step-10', 'step-3', 'step-9']);
  });

  test('keeps the best and the newest tested one, though later ones push them out', (context) => {
    const run = someRun(context);
    const best = { step: 1, top1: 0.5 };
    for (const step of [1, 2, 3]) save(run, step, { isTested: true, best });
    for (const step of [4, 5, 6, 7]) save(run, step, { best });
    assert.deepEqual(namesIn(run), ['step-1', 'step-3', 'step-5', 'step-6', 'step-7']);
  });

  test('counts one that was set aside as none of them', (context) => {
    const run = someRun(context);
    for (const step of [1, 2, 3]) save(run, step);
    renameSync(join(run.checkpoints, 'step-3'), join(run.checkpoints, 'step-3.suspect'));
    for (const step of [3, 4]) save(run, step);
    assert.deepEqual(namesIn(run), ['step-2', 'step-3', 'step-3.suspect', 'step-4']);
  });

  test('replaces one of the same step', (context) => {
    const run = someRun(context);
    save(run, 4);
    save(run, 4, { isTested: true });
    assert.deepEqual(namesIn(run), ['step-4']);
    assert.equal(chooseCheckpoint(run).state.progress.lastTest?.step, 4);
  });
});

suite('a checkpoint that cannot be written', () => {
  test('leaves nothing of itself, and the earlier one', (context) => {
    const run = someRun(context);
    save(run, 1);
    const request = requestAt(run, 2);
    request.tensors.optimizer.set('conv1.bias', {
      shape: [2],
      get data(): Float32Array {
        throw new Error('no space left on device');
      },
    });
    assert.throws(
      () => writeCheckpoint(request),
      (error: Error) =>
        error instanceof SaveError &&
        /cannot write the checkpoint .*step-2: .*no space left/.test(error.message),
    );
    assert.deepEqual(namesIn(run), ['step-1']);
    assert.equal(chooseCheckpoint(run).step, 1);
  });

  test('by the system’s limit of file sizes is reported and leaves nothing', (context) => {
    const run = someRun(context);
    // 64 blocks of 512 or 1024 bytes, as the shell counts them, against 4 MiB.
    const { stdout } = spawnSync(
      'sh',
      ['-c', 'ulimit -f 64 && exec "$0" "$@"', process.execPath, ...childSaving(run, 1 << 20)],
      { encoding: 'utf8' },
    );
    assert.match(stdout, /^UserError: cannot write the checkpoint .*EFBIG/m);
    assert.deepEqual(namesIn(run), []);
  });

  test('by SIGKILL leaves the earlier ones, and the next save clears its rest', (context) => {
    const run = someRun(context);
    const { signal } = spawnSync(process.execPath, childSaving(run, 1000));
    assert.equal(signal, 'SIGKILL');
    const [hidden, ...whole] = namesIn(run);
    assert.match(hidden!, /^\.step-3\.partial-\d+$/);
    assert.deepEqual(whole, ['step-1', 'step-2']);
    assert.equal(chooseCheckpoint(run).step, 2);
    save(run, 3);
    assert.deepEqual(namesIn(run), ['step-1', 'step-2', 'step-3']);
  });

  test('because the lock is lost gets no name', (context) => {
    const run = someRun(context);
    const request = requestAt(run, 2);
    writeFileSync(join(run.path, 'lock'), 'another’s');
    assert.throws(() => writeCheckpoint(request), LockLost);
    assert.deepEqual(namesIn(run), []);
  });

  test('because its run folder was deleted does not bring that back', (context) => {
    const run = someRun(context);
    const request = requestAt(run, 2);
    rmSync(run.path, { recursive: true });
    assert.throws(
      () => writeCheckpoint(request),
      (error: Error) => error instanceof LockLost && /is gone/.test(error.message),
    );
    assert.throws(() => readdirSync(run.path), { code: 'ENOENT' });
  });

  test('between the two renames of a replacement: the next save brings the replaced one back', (context) => {
    const run = someRun(context);
    renameSync(save(run, 4), join(run.checkpoints, '.step-4.replaced-1'));
    mkdirSync(join(run.checkpoints, '.step-4.partial-1'));
    save(run, 5);
    assert.deepEqual(namesIn(run), ['step-4', 'step-5']);
  });
});

/**
 * Arguments of a Node process that saves checkpoints 1, 2 and 3 of `values` float32 per tensor, and prints
 * the error that stops it. It kills itself in the third, between the model and the optimizer's data.
 */
function childSaving(run: RunFolder, values: number): string[] {
  const code = `
    import { writeCheckpoint } from ${JSON.stringify(import.meta.resolve('../../src/runs/checkpoint_writer.js'))};
    const request = ${JSON.stringify({ ...requestAt(run, 0), tensors: null })};
    const data = new Float32Array(${values}).fill(1.5);
    const shape = [data.length];
    const model = new Map([['w', { shape, data }]]);
    let uses = 0;
    const killing = { shape, get data() { if (++uses > 1) process.kill(process.pid, 'SIGKILL'); return data; } };
    try {
      for (const step of [1, 2, 3]) {
        const optimizer = step < 3 ? model : new Map([['w', killing]]);
        const progress = { ...request.state.progress, step };
        writeCheckpoint({ ...request, state: { ...request.state, progress }, tensors: { model, optimizer } });
      }
    } catch (error) {
      console.log(error.name + ': ' + error.message);
    }`;
  return ['--input-type=module', '--eval', code];
}
