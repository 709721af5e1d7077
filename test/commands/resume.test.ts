import assert from 'node:assert/strict';
import { cpSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { checkpointFiles } from '../../src/runs/checkpoint_folder.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { readMetrics } from '../../src/runs/metrics_log.js';
import { readSummary } from '../../src/runs/summary.js';
import { readSafetensors } from '../../src/runs/safetensors.js';
import { newFolder, start, succeeds, TINY, writeTinyImages, type Outcome } from './command_line.js';

const LAST_STEP = 32;

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const data = writeTinyImages(join(folder, 'data'));
const run = (name: string): string => join(folder, name);

function trainArguments(name: string): string[] {
  const devices = ['--cpu', '2', '--precision', 'float32'];
  const options = ['--data', data, ...devices, '--checkpoint-every', '5', '--log-every', '1'];
  return ['train', '--config', TINY, '--out', run(name), ...options];
}

function resumeArguments(name: string, ...devices: string[]): string[] {
  return ['train', '--resume', run(name), '--checkpoint-every', '5', ...devices];
}

/** Sends the signal when a line of that batch is printed: in the middle of the next step. */
function signalled(name: string, signal: NodeJS.Signals, line: RegExp): Promise<Outcome> {
  return start(trainArguments(name), {
    whenPrinted: (printed, process) => {
      if (line.test(printed)) process.kill(signal);
    },
  }).outcome;
}

function files(name: string): { model: string; optimizer: string } {
  return checkpointFiles(join(run(name), 'checkpoints', `step-${LAST_STEP}`));
}

function assertSameBits(name: string): void {
  for (const file of ['model', 'optimizer'] as const) {
    const own = readFileSync(files(name)[file]);
    assert.ok(own.equals(readFileSync(files('straight')[file])), `${file} differs`);
  }
}

/** A run's events without what a clock or a placement decides. */
function course(name: string): unknown[] {
  return readMetrics(openRunFolder(run(name))).map((event) =>
    Object.fromEntries(
      Object.entries(event).filter(
        ([field]) => !/Ms$|^imagesPerSecond$|^exchangeBytes$/.test(field),
      ),
    ),
  );
}

suite('a run that goes on', () => {
  let interrupted: Outcome;
  let interruptedSummary: ReturnType<typeof readSummary>;
  let checkpointsOfInterrupted: string[];
  let killed: Outcome;
  let checkpointsOfKilled: string[];
  let regrouped: Outcome;

  before(async () => {
    [, interrupted, killed] = await Promise.all([
      succeeds(trainArguments('straight')),
      signalled('interrupted', 'SIGINT', /^epoch 1\/2 {2}batch {2}7\/16/),
      signalled('killed', 'SIGKILL', /^epoch 2\/2 {2}batch {2}6\/16/),
    ]);
    interruptedSummary = readSummary(openRunFolder(run('interrupted')));
    checkpointsOfInterrupted = readdirSync(join(run('interrupted'), 'checkpoints'));
    checkpointsOfKilled = readdirSync(join(run('killed'), 'checkpoints'));
    cpSync(run('interrupted'), run('regrouped'), { recursive: true });
    [, , regrouped] = await Promise.all([
      succeeds(resumeArguments('interrupted', '--cpu', '2')),
      succeeds(resumeArguments('killed', '--cpu', '2')),
      succeeds(resumeArguments('regrouped', '--gpus', '0', '--towers', '2')),
    ]);
  });

  test('was interrupted with exit code 130, its step saved and the command that continues it', () => {
    assert.equal(interrupted.code, 130, interrupted.stderr);
    assert.equal(interruptedSummary.status, 'interrupted');
    const { steps } = interruptedSummary;
    assert.ok(steps >= 7 && steps < LAST_STEP, `${steps} steps`);
    assert.match(
      interrupted.stdout,
      new RegExp(
        `\ninterrupted after step ${steps}; continue with: twotower train --resume ${run('interrupted')} ` +
          '--cpu 2 --precision float32 --log-every 1 --checkpoint-every 5\n$',
      ),
    );
    assert.ok(checkpointsOfInterrupted.includes(`step-${steps}`), checkpointsOfInterrupted.join());
  });

  test('after an interruption equals one that was not interrupted, to the bit', () => {
    assertSameBits('interrupted');
    assert.deepEqual(course('interrupted'), course('straight'));
  });

  test('was killed between checkpoints', () => {
    assert.equal(killed.signal, 'SIGKILL', killed.stderr);
    // That of step 20 may still have been in writing.
    assert.ok(checkpointsOfKilled.includes('step-16'), checkpointsOfKilled.join());
    assert.ok(!checkpointsOfKilled.includes(`step-${LAST_STEP}`), checkpointsOfKilled.join());
  });

  test('after a kill equals one that was not killed, to the bit', () => {
    assertSameBits('killed');
    assert.deepEqual(course('killed'), course('straight'));
  });

  test('keeps the last three checkpoints and the best, as one that was not interrupted', () => {
    const names = (name: string) => readdirSync(join(run(name), 'checkpoints')).sort();
    const tests = readMetrics(openRunFolder(run('straight'))).filter(
      ({ event }) => event === 'test',
    );
    const best = tests.reduce((one, other) =>
      (other as { top1: number }).top1 > (one as { top1: number }).top1 ? other : one,
    );
    const expected = new Set([25, 30, 32, best.step].map((step) => `step-${step}`));
    assert.deepEqual(names('straight'), [...expected].sort());
    assert.deepEqual(names('killed'), names('straight'));
  });

  test('on another placement equals it to rounding', () => {
    assert.match(regrouped.stdout, /2 towers: rank 0\+1 on cpu /);
    const own = readSafetensors(files('regrouped').model);
    let largest = 0;
    for (const [name, { data: expected }] of readSafetensors(files('straight').model)) {
      own.get(name)!.data.forEach((value, index) => {
        largest = Math.max(largest, Math.abs(value - expected[index]!));
      });
    }
    // float32 rounds at 6e-8 of a value. A gradient here is about 0.1 and a sum of up to 2,000 terms, in
    // another order by another placement: √2000 · 6e-8 · 0.1 = 3e-7. The rate of 0.05, of which momentum
    // makes 0.5, and some 25 steps whose errors add up at random: 0.5 · √25 · 3e-7 = 7e-7.
    assert.ok(largest < 1e-6, `parameters differ by up to ${largest}`);
  });

  test('on another placement has the losses of the other to rounding', () => {
    const losses = (name: string) =>
      readMetrics(openRunFolder(run(name))).flatMap((event) =>
        event.event === 'skip' ? [] : [{ step: event.step, loss: event.loss }],
      );
    const own = losses('regrouped');
    losses('straight').forEach(({ step, loss }, index) => {
      assert.equal(own[index]!.step, step);
      assert.ok(Math.abs(own[index]!.loss - loss) < 1e-5 * loss, `step ${step}`);
    });
  });
});
