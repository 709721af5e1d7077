/**
 * The promises of docs/reliability.md, each with one fault; `npm run test:faults` has them at every point
 * and many times.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { openRunFolder } from '../../src/runs/layout.js';
import { readMetrics } from '../../src/runs/metrics_log.js';
import { readSummary } from '../../src/runs/summary.js';
import { DEVICE, LAST_STEP, Workbench, errorLine } from './faulty_run.js';

const bench = new Workbench();
after(() => rmSync(bench.folder, { recursive: true }));
before(async () => {
  const { code, stderr } = await bench.start('straight').outcome;
  assert.equal(code, 0, stderr);
});

const summaryOf = (name: string) => readSummary(openRunFolder(bench.run(name)));
const metricsOf = (name: string) => readMetrics(openRunFolder(bench.run(name)));

suite('a worker that dies', { concurrency: 2 }, () => {
  for (const [kind, point, where] of [
    ['throw', 'inside the exchange', /in the forward pass of conv3: a fault was injected/],
    ['exit', 'after the exchange', /in the forward pass of fc1: worker exited with code: 7/],
    ['out of memory', 'backward', /in the backward pass, down from fc2: .*memory limit/],
  ] as const) {
    test(`${kind}, ${point}: the other rank stops at once, the last checkpoint is named`, async () => {
      const fault = { rank: 1, step: 13, kind, point };
      const outcome = await bench.start(point, [], fault).outcome;
      assert.equal(outcome.code, 1, outcome.stderr);
      const line = errorLine(outcome);
      assert.match(line, new RegExp(`^twotower: rank 1 on ${DEVICE} failed at step 13, `));
      assert.match(line, where);
      assert.match(line, /the last checkpoint is .*step-10: continue with --resume/);
      assert.ok(bench.stoppingMs(point) < 1000, `${bench.stoppingMs(point)} ms`);
      assert.deepEqual(bench.wholeCheckpoints(point), [5, 10]);
      assert.equal(summaryOf(point).status, 'failed');
    });
  }

  test('in the middle of a checkpoint leaves the earlier ones', async () => {
    const fault = { rank: 0, step: 15, kind: 'exit', point: 'checkpoint' } as const;
    const outcome = await bench.start('storing', [], fault).outcome;
    assert.match(
      errorLine(outcome),
      new RegExp(`rank 0 on ${DEVICE} failed in the checkpoint of step 15`),
    );
    assert.deepEqual(bench.wholeCheckpoints('storing'), [5, 10]);
  });

  test('is started again with --restarts, and the end is that of an undisturbed run', async () => {
    const fault = { rank: 1, step: 13, kind: 'exit', point: 'update', once: true } as const;
    const outcome = await bench.start('restarted', ['--restarts', '1'], fault).outcome;
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.match(outcome.stderr, /start again from step 10, restart 1 of at most 1/);
    bench.assertSameEnd('restarted', 'straight');
    assert.equal(summaryOf('restarted').restarts, 1);
    const steps = metricsOf('restarted').filter(({ event }) => event === 'train');
    assert.deepEqual(
      steps.map(({ step }) => step),
      Array.from({ length: LAST_STEP }, (_, index) => index + 1),
    );
  });
});

suite('a worker that hangs', { concurrency: 2 }, () => {
  for (const kind of ['loop', 'native hang'] as const) {
    test(`in a ${kind} ends the run at the time limit, named with what it was doing`, async () => {
      const fault = { rank: 1, step: 13, kind, point: 'before the exchange' } as const;
      const outcome = await bench.start(kind, ['--exchange-timeout', '1'], fault).outcome;
      assert.equal(outcome.code, 1, outcome.stderr);
      assert.match(
        errorLine(outcome),
        new RegExp(
          `rank 1 on ${DEVICE} has made no progress for 1 s at step 13, in the forward pass of conv3: `,
        ),
      );
      assert.deepEqual(bench.wholeCheckpoints(kind), [5, 10]);
    });
  }
});

suite('a process that is told to stop', { concurrency: 2 }, () => {
  test('finishes its step on SIGTERM, saves and ends with 143', async () => {
    const outcome = await bench.start('terminated', [], null, {
      whenPrinted: (line, process) => {
        if (line.startsWith('epoch 1/2  batch  7/16')) process.kill('SIGTERM');
      },
    }).outcome;
    assert.equal(outcome.code, 143, outcome.stderr);
    const { status, steps } = summaryOf('terminated');
    assert.equal(status, 'interrupted');
    assert.equal(bench.wholeCheckpoints('terminated').at(-1), steps);
  });

  for (const [signal, code] of [
    ['SIGHUP', 129],
    ['SIGXCPU', 152],
  ] as const) {
    test(`finishes its step on ${signal}, saves and ends with ${code}`, async () => {
      const outcome = await bench.start(signal, [], null, {
        whenPrinted: (line, process) => {
          if (line.startsWith('epoch 1/2  batch  7/16')) process.kill(signal);
        },
      }).outcome;
      assert.equal(outcome.code, code, outcome.stderr);
      assert.equal(bench.wholeCheckpoints(signal).at(-1), summaryOf(signal).steps);
    });
  }

  test('goes on through SIGHUP under nohup', async (context) => {
    if (spawnSync('bash', ['-c', 'command -v nohup']).status !== 0) {
      return context.skip('bash or nohup is missing');
    }
    const { code, stderr } = await bench.start('nohup', [], null, {
      // A shell in between, as it tells the program what it is started by.
      before: ['bash', '-c', 'nohup "$0" "$@"; exit'],
      whenPrinted: (line) => {
        if (line.startsWith('epoch 1/2  batch  7/16'))
          signalTrainingIn(bench.run('nohup'), 'SIGHUP');
      },
    }).outcome;
    assert.equal(code, 0, stderr);
    bench.assertSameEnd('nohup', 'straight');
  });

  for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
    test(`saves at once on ${signal} and goes on, without a debugger`, async () => {
      const saved: number[] = [];
      const { code, stderr } = await bench.start(signal, ['--verbose'], null, {
        whenPrinted: (line, process) => {
          if (line.startsWith('epoch 1/2  batch  7/16')) process.kill(signal);
          const step = /^checkpoint .*step-(\d+)$/.exec(line)?.[1];
          if (step !== undefined) saved.push(Number(step));
        },
      }).outcome;
      assert.equal(code, 0, stderr);
      assert.doesNotMatch(stderr, /Debugger listening/);
      assert.ok(
        saved.some((step) => step % 5 !== 0 && step % 16 !== 0),
        saved.join(),
      );
      bench.assertSameEnd(signal, 'straight');
    });
  }

  test('stops at once on a second signal though a worker hangs; nobody else may train there meanwhile', async () => {
    const fault = { rank: 1, step: 3, kind: 'native hang', point: 'update' } as const;
    const second: Promise<string>[] = [];
    const first = bench.start('twice', [], fault, {
      whenPrinted: (line, { pid }) => {
        if (!line.startsWith('epoch 1/2  batch  2/16')) return;
        const refused = bench.start('twice', [], null, { resume: true }).outcome.then(errorLine);
        second.push(refused);
        void refused.then(() => process.kill(pid!, 'SIGINT'));
      },
    });
    first.process.stderr!.on('data', (text: string) => {
      if (text.includes('press again')) first.process.kill('SIGINT');
    });
    const { code, stderr } = await first.outcome;
    assert.equal(code, 130, stderr);
    assert.match(await second[0]!, new RegExp(`process ${first.process.pid} trains in `));
  });

  test('killed −9 three times and resumed it ends as an undisturbed run', async () => {
    for (const step of [5, 10, 20]) {
      const { signal, stderr } = await bench.start('killed', ['--verbose'], null, {
        resume: step > 5,
        whenPrinted: (line, process) => {
          if (line.startsWith('checkpoint ') && line.endsWith(`step-${step}`)) {
            process.kill('SIGKILL');
          }
        },
      }).outcome;
      assert.equal(signal, 'SIGKILL', stderr);
    }
    const { code, stderr } = await bench.start('killed', [], null, { resume: true }).outcome;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /warning: process \d+ held the lock of .* and has ended/);
    bench.assertSameEnd('killed', 'straight');
  });
});

suite('a disk', { concurrency: 2 }, () => {
  for (const [file, whole, last] of [
    ['.step-15', [5, 10], 10],
    ['metrics.jsonl', [], null],
    ['summary.json', [25, 30, LAST_STEP], LAST_STEP],
  ] as const) {
    test(`that is full at ${file} stops the run with the last whole checkpoint named`, async () => {
      const name = `full at ${whole.length}`;
      const outcome = await bench.start(name, [], { fullAt: file }).outcome;
      assert.equal(outcome.code, 1, outcome.stderr);
      const line = errorLine(outcome);
      assert.match(line, /cannot write .*ENOSPC/);
      // A checkpoint is written while the run goes on: its next line of metrics may find the disk full first.
      if (last !== 10) assert.ok(line.includes(file), line);
      const remedy =
        last === null ? /has no checkpoint to continue from/ : new RegExp(`step-${last}: continue`);
      assert.match(line, remedy);
      // Steps with the best test so far may stay besides the last three.
      assert.deepEqual(bench.wholeCheckpoints(name).slice(-whole.length || 99), whole);
    });
  }

  test('that is full during a report leaves the earlier report as it was', async () => {
    const folder = join(bench.folder, 'reports');
    mkdirSync(folder);
    const file = join(folder, 'report.html');
    writeFileSync(file, 'an earlier report');
    const outcome = await bench.report('straight', file, { fullAt: 'report.html' }).outcome;
    assert.equal(outcome.code, 1, outcome.stderr);
    assert.match(errorLine(outcome), /cannot write .*report\.html: ENOSPC/);
    assert.deepEqual(readdirSync(folder), ['report.html']);
    assert.equal(readFileSync(file, 'utf8'), 'an earlier report');
  });

  test('that is small, for real: no half checkpoint is left', async (context) => {
    const small = join(bench.folder, 'small');
    mkdirSync(small);
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', small]);
    if (mount.status !== 0) return context.skip('no file system may be mounted here');
    try {
      const outcome = await bench.start('small/run', [], null).outcome;
      assert.equal(outcome.code, 1, outcome.stderr);
      assert.match(
        errorLine(outcome),
        /cannot write .*ENOSPC.*the last checkpoint is .*step-\d+: continue/,
      );
      assert.ok(bench.wholeCheckpoints('small/run').length > 0);
      execFileSync('mount', ['-o', 'remount,ro', small]);
      const { stderr } = await bench.start('small/run', [], null, { resume: true }).outcome;
      assert.match(stderr, /^twotower: cannot write .*EROFS/m);
    } finally {
      execFileSync('umount', [small]);
    }
  });

  test('from which the run folder is deleted meanwhile: the run stops and says so', async () => {
    const outcome = await bench.start('deleted', [], null, {
      whenPrinted: (line) => {
        if (line.startsWith('epoch 1/2  batch  7/16')) {
          // Renamed first: a folder that is still being written to may not be empty when its turn comes.
          renameSync(bench.run('deleted'), bench.run('moved away'));
          rmSync(bench.run('moved away'), { recursive: true, force: true });
        }
      },
    }).outcome;
    assert.equal(outcome.code, 1, outcome.stderr);
    assert.match(errorLine(outcome), /cannot write .*the run folder .* is gone: start a new run/);
  });
});

suite('a value that is not finite on one rank', { concurrency: 2 }, () => {
  test('stops the run: no rank takes the step, and the layer where it appeared is named', async () => {
    const fault = { rank: 1, step: 13, kind: 'not finite', point: 'output' } as const;
    const outcome = await bench.start('output', [], fault).outcome;
    assert.equal(outcome.code, 1, outcome.stderr);
    assert.match(errorLine(outcome), /step 13: the output of conv1 on rank 1 is not finite/);
    // No test says that the parameters after steps 5 and 10 are any good.
    assert.deepEqual(bench.wholeCheckpoints('output'), []);
    assert.deepEqual(bench.suspects('output'), [5, 10]);
  });

  test('in a gradient is left out with --skip-nonfinite, and recorded', async () => {
    const fault = { rank: 1, step: 13, kind: 'not finite', point: 'gradient' } as const;
    const outcome = await bench.start('gradient', ['--skip-nonfinite', '1'], fault).outcome;
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.match(outcome.stderr, /the gradient of conv2 on rank 1 is not finite.*1 of at most 1/);
    assert.equal(summaryOf('gradient').skipped, 1);
    assert.deepEqual(
      metricsOf('gradient').filter(({ event }) => event === 'skip'),
      [{ event: 'skip', step: 13, epoch: 1, rank: 1, layer: 'conv2' }],
    );
  });
});

/** Sends a signal to the process that holds the run's lock. */
function signalTrainingIn(path: string, signal: NodeJS.Signals): void {
  const { pid } = JSON.parse(readFileSync(join(path, 'lock'), 'utf8')) as { pid: number };
  process.kill(pid, signal);
}

test('a run gives its lock back', () => {
  assert.throws(() => readFileSync(join(bench.run('straight'), 'lock')), { code: 'ENOENT' });
});
