/** Replicas on several hosts compute what one host computes, to rounding, and all hosts have the same parameters. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import type { MpiName } from '../../src/parallel/process_group.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { readLastTest, readSummary } from '../../src/runs/summary.js';
import { readMetrics } from '../../src/runs/metrics_log.js';
import { readTrace } from '../report/trace_reader.js';
import { HostsWorkbench, WIDE } from './hosts_workbench.js';

const STEPS = 9;

/** 15 images do not divide evenly among two or four hosts, nor do the 4 that are left for the last batch of the test. */
const UNEVEN = ['--steps', String(STEPS), '--batch', '15', ...WIDE];

const bench = new HostsWorkbench(4);
after(() => bench.remove());

/** What each run has printed. */
const printed = new Map<string, string>();

const traceOf = (name: string): string => join(bench.folder, `${name}.json`);

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
        const options = [...UNEVEN, ...devices, '--trace', traceOf(name)];
        const { code, stdout, stderr } = await bench.startOnHosts(name, { hosts, mpi, options })
          .outcome;
        assert.equal(code, 0, stderr);
        printed.set(name, stdout);

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

  suite('on two hosts', { skip: whyNoMpi('openmpi') ?? false }, () => {
    const name = '2 hosts, openmpi';
    const names = [0, 1].map((host) => bench.hostName(host));

    test('the first lines and the summary have the ranks of all', () => {
      for (const host of names) {
        const line = printed
          .get(name)!
          .split('\n')
          .find((one) => one.includes(`${host}: `));
        assert.match(line ?? '', /rank 0 on cpu .*, rank 1 on cpu /);
      }
      const { placement } = readSummary(openRunFolder(bench.run(name)));
      assert.deepEqual(
        placement.map(({ rank, host }) => [host, rank]),
        names.flatMap((host) => [0, 1].map((rank) => [host, rank])),
      );
    });

    test('each step and the summary have the communication, and what of it was waited for', () => {
      const steps = readMetrics(openRunFolder(bench.run(name))).flatMap((event) =>
        event.event === 'train' ? [event] : [],
      );
      for (const { communicationMs, exposedMs, stepMs } of steps) {
        assert.ok(communicationMs! > 0 && exposedMs! > 0 && exposedMs! < stepMs);
      }
      const mean = steps.reduce((sum, { exposedMs }) => sum + exposedMs!, 0) / steps.length;
      const { communication } = readSummary(openRunFolder(bench.run(name)));
      assert.ok(Math.abs(communication!.exposedMs - mean) < 1e-9);
    });

    test('a batch in parts gives the losses of the whole one, and is summed over hosts once', async () => {
      const options = [
        '--steps',
        String(STEPS),
        '--cpu',
        '2',
        ...WIDE,
        '--trace',
        traceOf('parts'),
      ];
      const inParts = ['--batch', '5', '--accumulate', '3', '--test-limit', '5'];
      const running = bench.startOnHosts('parts', { options: [...options, ...inParts] });
      const { code, stderr } = await running.outcome;
      assert.equal(code, 0, stderr);
      const losses = bench.losses('parts');
      assert.equal(losses.length, STEPS);
      bench.losses('one host').forEach((loss, step) => {
        const difference = Math.abs(losses[step]! - loss);
        assert.ok(difference <= 1e-6, `step ${step + 1} differs by ${difference}`);
      });
      const sums = readTrace(traceOf('parts')).filter(({ track }) => track === 'sums of rank 0');
      const sumsPerStep = 2;
      assert.equal(sums.length, 2 * STEPS * sumsPerStep, 'on each of two hosts');
    });

    test('the trace has a group per host, in which sums have a track beside their rank', () => {
      const spans = readTrace(traceOf(name));
      for (const host of names) {
        const own = spans.filter(({ group }) => group === `${name} on ${host}`);
        const stepsOf = own.filter(({ name: span }) => /^step /.test(span));
        assert.equal(stepsOf.length, STEPS, host);
        const sums = own.filter(({ track }) => track === 'sums of rank 0');
        assert.equal(sums.length, 2 * STEPS, 'one of the wide layer, one of the small gradients');
        sums.forEach((sum, index) => {
          // The communication of a step takes place in that step, also on the clock of the first host.
          const { began, ended } = stepsOf[Math.floor(index / 2)]!;
          assert.ok(began < sum.began && sum.ended < ended, `${host}, sum ${index}`);
        });
        assert.ok(own.some(({ name: span }) => span === 'wait for other hosts'));
      }
    });
  });
});
