/** A signal to the launcher reaches all hosts, which save or stop after the same step; the run goes on from there. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { readSummary } from '../../src/runs/summary.js';
import { HostsWorkbench } from './hosts_workbench.js';

const bench = new HostsWorkbench(4);
after(() => bench.remove());

const OPTIONS = ['--cpu', '1', '--towers', '2', '--verbose'];

/** So long that no run ends before its signal has come to all hosts. */
const LONG = [...OPTIONS, '--epochs', '8'];
const LAST_STEP_OF_LONG = 8 * 16;

/** Open MPI waits so long, twice before its TERM and twice before its KILL, seconds; 1 would not do on a busy machine. */
const PATIENT = ['--mca', 'odls_base_sigkill_timeout', '3'];

const summaryOf = (name: string) => readSummary(openRunFolder(bench.run(name)));

/** Runs, and sends the launcher a signal in the seventh step. */
async function signalled(name: string, signal: NodeJS.Signals): Promise<void> {
  await bench.startOnHosts(name, {
    options: LONG,
    launcherOptions: PATIENT,
    whenPrinted: (line, running) => {
      if (line.startsWith('epoch 1/8  batch  7/16')) running.process.kill(signal);
    },
  }).outcome;
  await bench.haveEnded(name);
}

/** The steps at which both hosts had the same parameters, of the checkpoints that are none of the usual ones. */
function stepsSavedBesides(name: string): number[] {
  const first = bench.hashes(name, 0);
  assert.deepEqual(bench.hashes(name, 1), first);
  return Object.keys(first)
    .map(Number)
    .filter((step) => step % 5 !== 0 && step % 16 !== 0);
}

suite('on two hosts', { skip: whyNoMpi('openmpi') ?? false, concurrency: 2 }, () => {
  before(async () => {
    const { code, stderr } = await bench.startOnHosts('straight', { options: LONG }).outcome;
    assert.equal(code, 0, stderr);
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`${signal} saves and stops all after the same step, and the run resumes to the bit`, async () => {
      await signalled(signal, signal);
      const { status, steps } = summaryOf(signal);
      assert.equal(status, 'interrupted');
      assert.equal(bench.wholeCheckpoints(signal).at(-1), steps);
      assert.deepEqual(bench.hashes(signal, 1), bench.hashes(signal, 0));
      const { code, stderr } = await bench.startOnHosts(signal, { resume: true, options: OPTIONS })
        .outcome;
      assert.equal(code, 0, stderr);
      bench.assertSameEnd(signal, 'straight', LAST_STEP_OF_LONG);
    });
  }

  test('SIGUSR1 saves after the same step, and the run goes on to the same end', async () => {
    await signalled('SIGUSR1', 'SIGUSR1');
    assert.equal(stepsSavedBesides('SIGUSR1').length, 1);
    bench.assertSameEnd('SIGUSR1', 'straight', LAST_STEP_OF_LONG);
  });
});

suite('a run', { skip: whyNoMpi('openmpi') ?? false }, () => {
  test('resumes on other numbers of hosts, one among them, with the losses of one host', async () => {
    const whole = await bench.start('whole', ['--steps', '9']).outcome;
    assert.equal(whole.code, 0, whole.stderr);
    for (const [hosts, steps] of [
      [2, 3],
      [4, 6],
      [1, 9],
    ] as const) {
      const { code, stderr } = await bench.startOnHosts('moved', {
        hosts,
        resume: hosts !== 2,
        options: [...OPTIONS, '--steps', String(steps)],
      }).outcome;
      assert.equal(code, 0, stderr);
    }
    const losses = bench.losses('moved');
    // Sums in another order differ by a few units in the last place of float32.
    bench.losses('whole').forEach((loss, step) => {
      assert.ok(Math.abs(losses[step]! - loss) <= 1e-5, `${losses[step]} and ${loss}`);
    });
    assert.equal(losses.length, 9);
  });
});
