/** Replicas on several hosts compute what one host computes, to rounding, and all hosts have the same parameters. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import type { MpiName } from '../../src/parallel/process_group.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { readLastTest, readSummary } from '../../src/runs/summary.js';
import { HostsWorkbench } from './hosts_workbench.js';

const STEPS = 9;

/** 15 images do not divide evenly among two or four hosts, nor do the 4 that are left for the last batch of the test. */
const UNEVEN = ['--steps', String(STEPS), '--batch', '15'];

const bench = new HostsWorkbench(4);
after(() => bench.remove());

const testOf = (name: string) => readLastTest(openRunFolder(bench.run(name)))!;

suite('replicas', () => {
  before(async () => {
    const { code, stderr } = await bench.start('one host', UNEVEN).outcome;
    assert.equal(code, 0, stderr);
  });

  for (const [mpi, hosts, devices] of [
    ['openmpi', 2, ['--cpu', '2']],
    ['openmpi', 4, ['--cpu', '1', '--towers', '2']],
    ['mpich', 2, ['--cpu', '1', '--towers', '2']],
  ] as [MpiName, number, string[]][]) {
    const name = `${hosts} hosts, ${mpi}`;
    test(
      `${name}: losses and test of one host, and the same parameters on all at every checkpoint`,
      { skip: whyNoMpi(mpi) ?? false },
      async () => {
        const options = [...UNEVEN, ...devices];
        const { code, stderr } = await bench.startOnHosts(name, { hosts, mpi, options }).outcome;
        assert.equal(code, 0, stderr);

        const losses = bench.losses(name);
        assert.equal(losses.length, STEPS);
        // Sums in another order differ by a few units in the last place of float32, and steps multiply that little yet.
        bench.losses('one host').forEach((loss, step) => {
          const difference = Math.abs(losses[step]! - loss);
          assert.ok(difference <= 1e-5, `step ${step + 1} differs by ${difference}`);
        });
        const [tested, expected] = [testOf(name), testOf('one host')];
        assert.ok(Math.abs(tested.loss - expected.loss) <= 1e-5);
        assert.deepEqual({ ...tested, loss: 0 }, { ...expected, loss: 0 });

        const { hosts: named = [] } = readSummary(openRunFolder(bench.run(name)));
        assert.ok(
          named.every((one, host) => one.endsWith(bench.hostName(host))),
          named.join(),
        );
        assert.equal(named.length, hosts);

        const first = bench.hashes(name, 0);
        assert.deepEqual(Object.keys(first), ['5', String(STEPS)]);
        for (let host = 1; host < hosts; host++) assert.deepEqual(bench.hashes(name, host), first);
      },
    );
  }
});
