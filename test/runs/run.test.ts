import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { LockLost } from '../../src/folder_lock.js';
import { chooseCheckpoint } from '../../src/runs/checkpoint_reader.js';
import { SaveError } from '../../src/runs/checkpoint_writer.js';
import { readMetrics } from '../../src/runs/metrics_log.js';
import { Run } from '../../src/runs/run.js';
import { readLastTest, type LastTest } from '../../src/runs/summary.js';
import {
  SUMMARY,
  CONFIGURATION,
  readTensors,
  stateAt,
  tensorsAt,
  testEvent,
  trainEvent,
  valuesOf,
} from './some_run.js';
import { temporaryFolder } from './temporary.js';

function claimed(context: TestContext, path = join(temporaryFolder(context), 'run')): Run {
  const run = Run.claim(path, CONFIGURATION);
  context.after(() => run.close());
  return run;
}

async function save(run: Run, step: number, changes: Parameters<typeof stateAt>[1] = {}) {
  run.save(stateAt(step, changes), tensorsAt(step), () => {});
  await run.written();
}

function checkpointsOf({ folder }: Run): string[] {
  return readdirSync(folder.checkpoints).sort();
}

const lastTestAt = (step: number): LastTest => ({
  step,
  loss: 2.1,
  top1: 0.25,
  top5: 0.75,
  images: 4,
  crops: 1,
  classes: ['cat'],
  perClass: [0.25],
  confusion: [[4]],
});

suite('a run that is claimed', () => {
  test('has its configuration and its lock, under folders that it creates', (context) => {
    const { folder } = claimed(context, join(temporaryFolder(context), 'runs', 'first'));
    assert.deepEqual(JSON.parse(readFileSync(folder.configurationFile, 'utf8')), CONFIGURATION);
    assert.deepEqual(readdirSync(folder.path), ['config.json', 'lock']);
  });

  test('is refused a folder that is not empty, which stays as it was', (context) => {
    const path = temporaryFolder(context);
    writeFileSync(join(path, 'note.txt'), 'mine');
    assert.throws(() => Run.claim(path, CONFIGURATION), {
      name: 'UserError',
      message: `the run folder ${path} exists and is not empty: choose another --out or --resume it`,
    });
    assert.deepEqual(readdirSync(path), ['note.txt']);
  });

  test('is refused a folder in which another one trains', (context) => {
    const { folder } = claimed(context);
    assert.throws(() => Run.reopen(folder.path), { message: /^process \d+ trains in / });
    assert.throws(() => Run.claim(folder.path, CONFIGURATION), { message: /trains in/ });
  });

  test('gives its lock back', async (context) => {
    const run = claimed(context);
    await run.close();
    assert.deepEqual(readdirSync(run.folder.path), ['config.json']);
  });

  test('is refused to reopen if it is no run folder, and nothing is left there', (context) => {
    const path = temporaryFolder(context);
    assert.throws(() => Run.reopen(path), { message: /is not a run folder: it has no config/ });
    assert.deepEqual(readdirSync(path), []);
  });
});

suite('a checkpoint that a run saves', () => {
  test('is written while the caller goes on, and read back to the bit', async (context) => {
    const run = claimed(context);
    const saved: string[] = [];
    run.save(stateAt(7), tensorsAt(7), (path) => saved.push(path));
    assert.equal(existsSync(join(run.folder.checkpoints, 'step-7')), false);
    await run.written();
    assert.deepEqual(saved, [join(run.folder.checkpoints, 'step-7')]);
    const read = readTensors(run.load('latest'));
    assert.deepEqual(valuesOf(read.model), valuesOf(tensorsAt(7).model));
    assert.deepEqual(valuesOf(read.optimizer), valuesOf(tensorsAt(7).optimizer));
  });

  test('takes its tensors from shared memory, without a copy', async (context) => {
    const run = claimed(context);
    const tensors = tensorsAt(7);
    run.save(stateAt(7), tensors, () => {});
    // The thread has not begun to write: it starts after this turn, at the earliest.
    tensors.model.get('conv1.bias')!.data[0] = 42;
    await run.written();
    assert.equal(readTensors(run.load(7)).model.get('conv1.bias')!.data[0], 42);
  });

  test('keeps how long the metrics were when it was asked for', async (context) => {
    const run = claimed(context);
    run.log(trainEvent(1));
    run.save(stateAt(1), tensorsAt(1), () => {});
    run.log(trainEvent(2));
    await run.written();
    const line = `${JSON.stringify(trainEvent(1))}\n`;
    assert.equal(run.load(1).state.metricsBytes, line.length);
  });

  test('and cannot be written is an error once, and the next save is tried', async (context) => {
    const run = claimed(context);
    writeFileSync(run.folder.checkpoints, 'a file in its place');
    run.save(stateAt(1), tensorsAt(1), () => assert.fail('it was not saved'));
    await assert.rejects(
      run.written(),
      (error) => error instanceof SaveError && /cannot write the checkpoint/.test(error.message),
    );
    run.check();
    rmSync(run.folder.checkpoints);
    await save(run, 1);
    assert.deepEqual(checkpointsOf(run), ['step-1']);
  });

  test('hands on what its listener throws, by the next check', async (context) => {
    const run = claimed(context);
    const saved = new Promise<void>((resolve) => {
      run.save(stateAt(1), tensorsAt(1), () => {
        setImmediate(resolve);
        throw new Error('of the listener');
      });
    });
    await saved;
    assert.throws(() => run.check(), { message: 'of the listener' });
    run.check();
  });

  test('is finished before the lock is given back', async (context) => {
    const run = claimed(context);
    run.save(stateAt(3), tensorsAt(3), () => {});
    await run.close();
    assert.equal(chooseCheckpoint(run.folder).step, 3);
  });
});

suite('a run that is cut back', () => {
  /** Steps 1 to 4 with tests and checkpoints at 2 and 4, and a summary. */
  async function trained(context: TestContext): Promise<Run> {
    const run = claimed(context);
    for (const step of [1, 2, 3, 4]) {
      run.log(trainEvent(step));
      if (step % 2 === 1) continue;
      run.log(testEvent(step));
      run.keepTest(lastTestAt(step));
      await save(run, step, { isTested: true });
    }
    run.finish(SUMMARY);
    return run;
  }

  test('has the metrics of the checkpoint, and no later test nor summary', async (context) => {
    const run = await trained(context);
    run.cutBack(run.load(2), CONFIGURATION);
    assert.deepEqual(readMetrics(run.folder), [trainEvent(1), trainEvent(2), testEvent(2)]);
    assert.equal(readLastTest(run.folder), null);
    assert.equal(existsSync(run.folder.summaryFile), false);
  });

  test('keeps the test of the checkpoint itself', async (context) => {
    const run = await trained(context);
    run.cutBack(run.load('latest'), CONFIGURATION);
    assert.equal(readLastTest(run.folder)?.step, 4);
  });

  test('loses a test.json that cannot be read', async (context) => {
    const run = await trained(context);
    writeFileSync(run.folder.testFile, '');
    run.cutBack(run.load('latest'), CONFIGURATION);
    assert.equal(existsSync(run.folder.testFile), false);
  });

  test('has the configuration that it continues with', async (context) => {
    const run = await trained(context);
    const configuration = { ...CONFIGURATION, comment: 'continued' };
    run.cutBack(run.load('latest'), configuration);
    assert.deepEqual(JSON.parse(readFileSync(run.folder.configurationFile, 'utf8')), configuration);
  });

  test('sets later checkpoints aside, so that new ones are the newest', async (context) => {
    const run = await trained(context);
    run.cutBack(run.load(2), CONFIGURATION);
    assert.deepEqual(checkpointsOf(run), ['step-2', 'step-4.suspect']);
    await save(run, 3);
    assert.equal(basename(run.latest()!), 'step-3');
  });

  test('to its start has no checkpoint and no metrics', async (context) => {
    const run = await trained(context);
    run.cutBack(null, CONFIGURATION);
    assert.deepEqual(readMetrics(run.folder), []);
    assert.deepEqual(checkpointsOf(run), ['step-2.suspect', 'step-4.suspect']);
    assert.equal(run.latest(), null);
  });

  test('passes over a damaged checkpoint, says so, and marks it', async (context) => {
    const run = await trained(context);
    writeFileSync(join(run.folder.checkpoints, 'step-4', 'state.msgpack'), '');
    const point = run.load('latest');
    assert.equal(point.step, 2);
    assert.match(
      point.warnings.join(),
      /^\S*state\.msgpack is damaged: .*; continuing from step 2, .*kept as \S*step-4\.damaged\)$/,
    );
    run.cutBack(point, CONFIGURATION);
    assert.deepEqual(checkpointsOf(run), ['step-2', 'step-4.damaged']);
  });

  for (const text of ['', '{"status":', 'null']) {
    test(`though its summary.json is "${text}", which is said`, async (context) => {
      const run = await trained(context);
      writeFileSync(run.folder.summaryFile, text);
      const point = run.load('latest');
      assert.equal(point.warnings.length, 1);
      assert.match(point.warnings[0]!, /^cannot read \S*summary\.json: /);
      run.cutBack(point, CONFIGURATION);
      assert.equal(existsSync(run.folder.summaryFile), false);
    });
  }

  test('brings back a checkpoint whose replacement was killed', async (context) => {
    const run = await trained(context);
    const { checkpoints } = run.folder;
    renameSync(join(checkpoints, 'step-4'), join(checkpoints, '.step-4.replaced-1'));
    assert.equal(run.load('latest').path, join(checkpoints, 'step-4'));
  });
});

suite('a run that diverged', () => {
  test('sets aside what is newer than the newest tested checkpoint', async (context) => {
    const run = claimed(context);
    await save(run, 1, { isTested: true });
    await save(run, 2);
    await save(run, 3);
    run.setSuspectsAside();
    assert.deepEqual(checkpointsOf(run), ['step-1', 'step-2.suspect', 'step-3.suspect']);
    assert.equal(run.load('latest').step, 1);
  });

  test('keeps its initial parameters if nothing was tested', async (context) => {
    const run = claimed(context);
    await save(run, 0);
    await save(run, 2);
    run.setSuspectsAside();
    assert.deepEqual(checkpointsOf(run), ['step-0', 'step-2.suspect']);
  });

  test('can be continued from a suspect, which is none any more', async (context) => {
    const run = claimed(context);
    await save(run, 2);
    run.setSuspectsAside();
    run.cutBack(run.load(2), CONFIGURATION);
    assert.deepEqual(checkpointsOf(run), ['step-2']);
  });
});

suite('a run that lost its lock', () => {
  const verbs: Record<string, (run: Run) => void> = {
    log: (run) => run.log(trainEvent(1)),
    keepTest: (run) => run.keepTest(lastTestAt(1)),
    save: (run) => run.save(stateAt(1), tensorsAt(1), () => {}),
    cutBack: (run) => run.cutBack(null, CONFIGURATION),
    setSuspectsAside: (run) => run.setSuspectsAside(),
    finish: (run) => run.finish(SUMMARY),
    check: (run) => run.check(),
  };
  for (const [name, verb] of Object.entries(verbs)) {
    test(`refuses to ${name} and writes nothing`, (context) => {
      context.mock.timers.enable({ apis: ['setInterval'] });
      const run = claimed(context);
      writeFileSync(join(run.folder.path, 'lock'), 'another’s');
      context.mock.timers.tick(10_000);
      assert.throws(() => verb(run), LockLost);
      assert.deepEqual(readdirSync(run.folder.path), ['config.json', 'lock']);
    });
  }

  test('while a checkpoint was written does not give that its name', async (context) => {
    const run = claimed(context);
    run.save(stateAt(1), tensorsAt(1), () => assert.fail('it was not saved'));
    writeFileSync(join(run.folder.path, 'lock'), 'another’s');
    await assert.rejects(run.written(), LockLost);
    assert.deepEqual(checkpointsOf(run), []);
  });

  test('because its folder was deleted does not bring that back', async (context) => {
    const run = claimed(context);
    rmSync(run.folder.path, { recursive: true });
    run.save(stateAt(1), tensorsAt(1), () => assert.fail('it was not saved'));
    await assert.rejects(run.written(), { message: /^the folder .* is gone: / });
    assert.equal(existsSync(run.folder.path), false);
  });
});
