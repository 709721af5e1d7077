/**
 * What goes wrong on one of several hosts ends the run on all of them, with one line that names the host and the
 * remedy. `npm run test:hosts` has the failures that take longer, and many kills.
 */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { errorLine } from '../faults/faulty_run.js';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import { HostsWorkbench } from './hosts_workbench.js';
import type { HostsRun, RunningHosts } from './hosts_workbench.js';

const bench = new HostsWorkbench(2);
after(() => bench.remove());

/** Seconds after which a host that is not heard of counts as lost. */
const LIMIT = 2;

const OPTIONS = ['--cpu', '1', '--towers', '2', '--exchange-timeout', String(LIMIT)];

const [first, second] = [bench.hostName(0), bench.hostName(1)];

/** Runs until `act` has done its harm in the seventh step, and expects the end of every process. */
async function fails(name: string, settings: HostsRun, act?: (run: RunningHosts) => void) {
  const outcome = await bench.startOnHosts(name, {
    options: OPTIONS,
    whenPrinted: (line, run) => {
      if (line.startsWith('epoch 1/2  batch  7/16')) act?.(run);
    },
    ...settings,
  }).outcome;
  assert.notEqual(outcome.code, 0, outcome.stderr);
  assert.deepEqual(bench.survivors(name), []);
  return errorLine(outcome);
}

/** That the run goes on from its last checkpoint to the end of the undisturbed one. */
async function resumes(name: string): Promise<void> {
  assert.deepEqual(bench.wholeCheckpoints(name), [5]);
  const { code, stderr } = await bench.startOnHosts(name, { resume: true, options: OPTIONS })
    .outcome;
  assert.equal(code, 0, stderr);
  bench.assertSameEnd(name, 'straight');
}

suite('several hosts', { skip: whyNoMpi('openmpi') ?? false, concurrency: 2 }, () => {
  before(async () => {
    const { code, stderr } = await bench.startOnHosts('straight', { options: OPTIONS }).outcome;
    assert.equal(code, 0, stderr);
  });

  test('a killed process ends the run, which names its host and resumes to the bit', async () => {
    const line = await fails('killed', {}, (run) => process.kill(run.pidOf(1), 'SIGKILL'));
    assert.match(line, new RegExp(`${first} has not heard of ${second}`));
    await resumes('killed');
  });
});
