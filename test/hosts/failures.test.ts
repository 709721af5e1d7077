/**
 * What goes wrong on one of several hosts ends the run on all of them, with one line that names the host and the
 * remedy. `npm run test:faults` has the failures that take longer, and many kills.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import { writeTinyImages } from '../commands/command_line.js';
import { HostsWorkbench } from './hosts_workbench.js';
import type { HostsRun, RunningHosts } from './hosts_workbench.js';

const bench = new HostsWorkbench(2);
after(() => bench.remove());

/** Seconds after which a host that is not heard of counts as lost. */
const LIMIT = 5;

const OPTIONS = ['--cpu', '1', '--towers', '2', '--exchange-timeout', String(LIMIT)];

/** So long that no run ends before its harm is done. */
const LONG = [...OPTIONS, '--epochs', '8'];
const LAST_STEP_OF_LONG = 8 * 16;

/** Runs until `act` has done its harm in the seventh step, and expects the end of every process. */
async function ends(
  name: string,
  settings: HostsRun,
  act: (run: RunningHosts) => void | Promise<void> = () => {},
): Promise<string> {
  const { code, stderr } = await bench.startOnHosts(name, {
    options: LONG,
    whenPrinted: (line, run) => {
      if (line.startsWith('epoch 1/8  batch  7/16')) void act(run);
    },
    ...settings,
  }).outcome;
  assert.notEqual(code, 0, stderr);
  await bench.haveEnded(name);
  return stderr;
}

/** As `ends`, and expects one line of the program that says why. */
async function fails(...parameters: Parameters<typeof ends>): Promise<string> {
  const stderr = await ends(...parameters);
  const lines = stderr.split('\n').filter((line) => line.startsWith('twotower: '));
  assert.equal(lines.length, 1, stderr);
  return lines[0]!;
}

/** That the run goes on from its last checkpoint to the end of the undisturbed one. */
async function resumes(name: string): Promise<void> {
  const saved = bench.wholeCheckpoints(name);
  assert.notEqual(saved.length, 0);
  // Every fifth step, and the last of each epoch, but for the end.
  assert.ok(saved.every((step) => (step % 5 === 0 || step % 16 === 0) && step < LAST_STEP_OF_LONG));
  const { outcome } = bench.startOnHosts(name, { resume: true, options: OPTIONS });
  const { code, stderr } = await outcome;
  assert.equal(code, 0, stderr);
  bench.assertSameEnd(name, 'straight', LAST_STEP_OF_LONG);
}

/** Two hosts as the program names them. */
const [FIRST, SECOND] = [bench.hostName(0), bench.hostName(1)];

const silent = (host: string): RegExp =>
  new RegExp(
    `has not heard of ${host} for [\\d.]+ s: it is stopped, has ended, or the network between them is down`,
  );

suite('on two hosts', { skip: whyNoMpi('openmpi') ?? false, concurrency: 2 }, () => {
  before(async () => {
    const { code, stderr } = await bench.startOnHosts('straight', { options: LONG }).outcome;
    assert.equal(code, 0, stderr);
  });

  // The launcher sees a killed process at once, ends the others, and names its host if they have no time to.
  for (const [host, name] of [
    [1, SECOND],
    [0, FIRST],
  ] as const) {
    test(`the process of ${name} is killed: the run ends, and resumes to the bit`, async () => {
      const run = `killed ${host}`;
      const stderr = await ends(run, {}, async (running) => {
        while (bench.wholeCheckpoints(run).length === 0) await delay(5);
        process.kill(running.pidOf(host), 'SIGKILL');
      });
      const byLauncher = new RegExp(`process rank ${host} with PID \\d+ on node .* \\(Killed\\)`);
      assert.ok(silent(name).test(stderr) || byLauncher.test(stderr), stderr);
      await resumes(run);
    });
  }

  test('a process that is stopped ends the run at the time limit', async () => {
    const line = await fails('stopped', {}, (run) => {
      process.kill(run.pidOf(1), 'SIGSTOP');
    });
    assert.match(line, silent(SECOND));
  });

  test('a worker that throws ends the run, which names its host, rank and step', async () => {
    const fault = {
      host: 1,
      rank: 1,
      step: 7,
      point: 'update',
      kind: 'throw',
    } as const;
    const line = await fails('threw', { fault });
    assert.match(
      line,
      new RegExp(`${SECOND}: rank 0,1 on cpu failed at step 7, .*a fault was injected`),
    );
    assert.match(line, /the last checkpoint is .*step-5: continue with --resume/);
  });

  test('other data on a host is refused', async () => {
    const other = writeTinyImages(join(bench.folder, 'other data'));
    const file = join(other, 'data_batch_1.bin');
    const records = readFileSync(file);
    // A record begins with its label.
    records[0] = 5;
    writeFileSync(file, records);
    const line = await fails('other', { dataOf: (host) => (host === 1 ? other : bench.data) });
    assert.match(line, new RegExp(`${SECOND} has other data than ${FIRST}: copy the same files`));
  });

  test('data that a host lacks are missed by its name', async () => {
    const missing = join(bench.folder, 'missing');
    const line = await fails('no data', { dataOf: (host) => (host === 1 ? missing : bench.data) });
    assert.match(line, new RegExp(`${SECOND}: .*${missing}`));
  });

  test('another version of the program on a host is refused', async () => {
    const environmentOn = (host: number): Record<string, string> =>
      host === 1 ? { TWOTOWER_TEST_VERSION: '0.1.9' } : {};
    const line = await fails('version', { environmentOn });
    assert.match(
      line,
      new RegExp(`${SECOND} runs twotower 0\\.1\\.9, ${FIRST} .*: install the same`),
    );
  });

  test('a world of another size than --require-world asks for is refused', async () => {
    const line = await fails('size', { options: [...OPTIONS, '--require-world', '3'] });
    assert.match(
      line,
      /--require-world 3: the world has 2 processes; start as many with mpirun -n 3/,
    );
  });
});

// Every other run between these hosts would lose its link too.
suite('on two hosts, with nothing beside it', { skip: whyNoMpi('openmpi') ?? false }, () => {
  test('a link that is cut ends the run at the time limit', async (context) => {
    const { hosts } = bench;
    if (hosts === null) return context.skip('all processes are on this host');
    try {
      const line = await fails('cut', {}, async (run) => {
        hosts.setLink(1, 'down');
        await bench.haveEnded('cut');
        // The launcher waits for its own connection.
        run.process.kill('SIGKILL');
      });
      assert.match(line, silent(SECOND));
    } finally {
      hosts.setLink(1, 'up');
    }
  });
});
