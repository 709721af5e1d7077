import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import {
  chooseCheckpoint,
  lastWholeCheckpoint,
  withCheckpoint,
} from '../../src/runs/checkpoint_reader.js';
import type { CheckpointChoice } from '../../src/runs/checkpoint_reader.js';
import type { RunFolder } from '../../src/runs/layout.js';
import { save, someRun } from './some_run.js';

/** Checkpoints 5, 9 and 10, of which 9 is the best, and 12, which is suspect. */
function runWithSome(context: TestContext): RunFolder {
  const run = someRun(context);
  const best = { step: 9, top1: 0.5 };
  renameSync(save(run, 12, { best }), join(run.checkpoints, 'step-12.suspect'));
  save(run, 5, { isTested: true, best: { step: 5, top1: 0.25 } });
  save(run, 9, { isTested: true, best });
  save(run, 10, { best });
  return run;
}

suite('choosing a checkpoint', () => {
  for (const [choice, name] of [
    ['latest', 'step-10'],
    ['best', 'step-9'],
    [5, 'step-5'],
    [12, 'step-12.suspect'],
  ] as [CheckpointChoice, string][]) {
    test(`${choice} gives ${name}`, (context) => {
      assert.equal(basename(chooseCheckpoint(runWithSome(context), choice).path), name);
    });
  }

  test('prefers one that was trained again to the suspect of its step', (context) => {
    const run = runWithSome(context);
    const again = save(run, 12);
    assert.equal(chooseCheckpoint(run, 12).path, again);
  });

  for (const [what, choice, message] of [
    [
      'a step that is not there',
      7,
      /has no checkpoint of step 7 \(there is 5, 9, 10, 12 \(suspect\)\): choose one of these$/,
    ],
    [
      'a best one that is gone',
      'best',
      /has no checkpoint of step 9, its best, \(there is 5, 10, 12 \(suspect\)\)/,
    ],
  ] as const) {
    test(`refuses ${what} with the steps that are`, (context) => {
      const run = runWithSome(context);
      if (choice === 'best') rmSync(join(run.checkpoints, 'step-9'), { recursive: true });
      assert.throws(() => chooseCheckpoint(run, choice), { name: 'UserError', message });
    });
  }

  test('refuses a best one before the first test', (context) => {
    const run = someRun(context);
    save(run, 3);
    assert.throws(() => chooseCheckpoint(run, 'best'), {
      message: /has no best checkpoint, because there has been no test yet: .* \(there is 3\)/,
    });
  });

  test('refuses a run without any', (context) => {
    assert.throws(() => chooseCheckpoint(someRun(context)), {
      name: 'UserError',
      message: /has no checkpoint yet: train it for longer, or start a new run$/,
    });
  });

  test('refuses a run that has but suspects, with their steps', (context) => {
    const run = someRun(context);
    renameSync(save(run, 3), join(run.checkpoints, 'step-3.suspect'));
    assert.throws(() => chooseCheckpoint(run), {
      message: /from before it diverged: choose one by its step.*\(there is 3 \(suspect\)\)/,
    });
  });

  test('never gives a damaged one', (context) => {
    const run = someRun(context);
    renameSync(save(run, 3), join(run.checkpoints, 'step-3.damaged'));
    assert.throws(() => chooseCheckpoint(run, 3), { message: /has no checkpoint yet/ });
  });

  test('refuses a damaged file by its name, with the other steps', (context) => {
    const run = runWithSome(context);
    const file = join(run.checkpoints, 'step-10', 'optimizer.safetensors');
    truncateSync(file, 20);
    assert.throws(() => chooseCheckpoint(run), {
      name: 'UserError',
      message: new RegExp(
        `^${file} is damaged: .*; choose another with --checkpoint \\(there is 5, 9, 12 \\(suspect\\)\\), or .* --resume `,
      ),
    });
  });
});

suite('a reader beside the process that trains', () => {
  test('takes a checkpoint that is being replaced in its place, and renames nothing', (context) => {
    const run = someRun(context);
    const hidden = join(run.checkpoints, '.step-4.replaced-1');
    renameSync(save(run, 4), hidden);
    assert.equal(chooseCheckpoint(run).path, hidden);
    assert.deepEqual(readdirSync(run.checkpoints), ['.step-4.replaced-1']);
  });

  test('does not take one that is being written or removed', (context) => {
    const run = someRun(context);
    for (const kind of ['partial', 'removed']) {
      mkdirSync(join(run.checkpoints, `.step-9.${kind}-1`), { recursive: true });
    }
    assert.throws(() => chooseCheckpoint(run), { message: /has no checkpoint yet/ });
  });

  test('looks again if the checkpoint is replaced under its hands', (context) => {
    const run = someRun(context);
    save(run, 4);
    let looks = 0;
    const tested = withCheckpoint(run, 'latest', ({ files }) => {
      if (++looks === 1) {
        save(run, 4, { isTested: true });
        throw new Error(`cannot read ${files.model}`);
      }
      return looks;
    });
    assert.equal(tested, 2);
  });

  test('takes the next one if the checkpoint is removed under its hands', (context) => {
    const run = someRun(context);
    save(run, 4);
    const steps: number[] = [];
    withCheckpoint(run, 'latest', ({ step, path }) => {
      steps.push(step);
      if (steps.length > 1) return;
      save(run, 5);
      rmSync(path, { recursive: true });
      throw new Error('gone');
    });
    assert.deepEqual(steps, [4, 5]);
  });

  test('does not repeat what fails for another reason', (context) => {
    const run = someRun(context);
    save(run, 4);
    let looks = 0;
    const fail = (): void => {
      looks++;
      throw new Error('another reason');
    };
    assert.throws(() => withCheckpoint(run, 'latest', fail), { message: 'another reason' });
    assert.equal(looks, 1);
  });
});

suite('resuming', () => {
  test('passes over damaged checkpoints and suspects', (context) => {
    const run = runWithSome(context);
    writeFileSync(join(run.checkpoints, 'step-10', 'state.msgpack'), '');
    const { checkpoint, damaged } = lastWholeCheckpoint(run);
    assert.equal(checkpoint.step, 9);
    assert.deepEqual(
      damaged.map(({ path }) => basename(path)),
      ['step-10'],
    );
  });
});
