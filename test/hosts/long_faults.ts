/**
 * `npm run test:faults`: the failures of several hosts that take long, and many kills.
 *
 * `TWOTOWER_TEST_SEED` decides which processes are killed and when; 1 unless given.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openRunFolder } from '../../src/runs/layout.js';
import { readMetrics } from '../../src/runs/metrics_log.js';
import { RandomSequence, deriveKey } from '../../src/random.js';
import { LAST_STEP } from '../faults/faulty_run.js';
import { HostsWorkbench } from './hosts_workbench.js';
import { ISOLATED } from './test_hosts.js';

const SEED = Number(process.env['TWOTOWER_TEST_SEED'] ?? 1);
const HOSTS = 4;
const KILLS = 20;
const OPTIONS = ['--cpu', '1', '--towers', '2'];

const bench = new HostsWorkbench(HOSTS);
after(() => bench.remove());

test('an interface that does not connect the hosts is named by both ends', async (context) => {
  if (bench.hosts === null) return context.skip('all processes are on this host');
  const options = [...OPTIONS, '--interface', ISOLATED];
  const running = bench.startOnHosts('interface', { options, isInterfaceKnown: false });
  const { code, stderr } = await running.outcome;
  assert.notEqual(code, 0, stderr);
  await bench.haveEnded('interface');
  for (const [one, other] of [
    [0, 1],
    [1, 0],
  ]) {
    assert.match(
      stderr,
      new RegExp(
        `process ${one} on host${one} cannot talk with process ${other} over ${ISOLATED} within 60 s`,
      ),
    );
  }
  assert.match(stderr, /name the interface that connects the hosts with --interface/);
});

test(`${KILLS} kills at random times over ${HOSTS} hosts lose nothing`, async (context) => {
  const settings = { hosts: HOSTS, options: OPTIONS };
  const began = performance.now();
  const { code, stderr } = await bench.startOnHosts('straight', settings).outcome;
  const lifetime = performance.now() - began;
  assert.equal(code, 0, stderr);

  const random = new RandomSequence(deriveKey(SEED, 'kills on hosts'));
  const killed = Array.from({ length: HOSTS }, () => 0);
  for (let kills = 0, runs = 0; kills < KILLS;) {
    const name = `killed ${runs}`;
    const resume = bench.wholeCheckpoints(name).length > 0;
    if (!resume) rmSync(bench.run(name), { recursive: true, force: true });
    const running = bench.startOnHosts(name, { ...settings, resume });
    const host = random.below(HOSTS);
    const isOver = await Promise.race([
      running.outcome.then(() => true),
      delay((random.below(1000) / 1000) * lifetime, false),
    ]);
    const isKilled = !isOver && running.kill(host);
    if (isKilled) {
      killed[host]!++;
      kills++;
    }
    const outcome = await running.outcome;
    await bench.haveEnded(name);
    if (outcome.code !== 0) {
      assert.ok(isKilled, outcome.stderr);
      continue;
    }
    assertUndisturbed(name);
    runs++;
  }
  context.diagnostic(`seed ${SEED}: kills per host ${killed.join(', ')}`);
});

/** That the run has every step once, and the end of the undisturbed run. */
function assertUndisturbed(name: string): void {
  bench.assertSameEnd(name, 'straight');
  const steps = readMetrics(openRunFolder(bench.run(name))).filter(
    ({ event }) => event === 'train',
  );
  assert.deepEqual(
    steps.map(({ step }) => step),
    Array.from({ length: LAST_STEP }, (_, index) => index + 1),
  );
}
