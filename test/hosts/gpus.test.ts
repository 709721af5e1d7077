/**
 * Hosts whose workers compute on GPUs: their gradients are summed as those of CPU workers are. The GPUs are doubles (see
 * test/cuda_double), one or two per process.
 */
import '../backend/cuda/use_double.js';
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { cudaIsPrepared } from '../../src/backend/native/cuda_addon.js';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import type { MpiName } from '../../src/parallel/process_group.js';
import type { GradientRoute } from '../../src/parallel/messages.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { readSummary } from '../../src/runs/summary.js';
import { HostsWorkbench, WIDE } from './hosts_workbench.js';

const STEPS = 9;

/** 15 images do not divide evenly among two or four hosts. */
const UNEVEN = ['--steps', String(STEPS), '--batch', '15', ...WIDE];

const bench = new HostsWorkbench(4);
after(() => bench.remove());

const GROUPED = ['--gpus', '0', '--towers', '2'];

/** The hosts' variables that have gradients go each way. */
const WAYS: Record<GradientRoute, (host: number) => Record<string, string>> = {
  // The hosts have the same GPUs by their UUIDs.
  'MPI, host memory': () => ({}),
  // The double's GPUs have the memory of the host.
  'MPI, GPU memory': () => ({ TWOTOWER_CUDA_AWARE_MPI: 'always' }),
  NCCL: (host) => ({ TWOTOWER_DOUBLE_MACHINE: String(host) }),
};
const ROUTES = Object.keys(WAYS) as GradientRoute[];

/** What happens to a GPU between its third step and its eighth. */
const FAULTS: [string, Record<string, string>][] = [
  ['is lost in the middle of a step', { TWOTOWER_DOUBLE_LOST_AT: '9' }],
  ['refuses to wait for an event', { TWOTOWER_DOUBLE_FAIL: 'cuStreamWaitEvent:9:719' }],
];

/** @returns the losses */
async function train(
  name: string,
  hosts: number,
  options: string[],
  route: GradientRoute,
  mpi: MpiName = 'openmpi',
): Promise<number[]> {
  const settings = { hosts, mpi, options, environmentOn: WAYS[route] };
  const { code, stdout, stderr } = await bench.startOnHosts(name, settings).outcome;
  assert.equal(code, 0, stderr);
  if (hosts > 1) {
    assert.match(stdout, new RegExp(`^gradients are summed by ${route}$`, 'm'));
    assert.equal(readSummary(openRunFolder(bench.run(name))).gradientRoute, route);
  }
  return bench.losses(name);
}

/** That all hosts had the same parameters at each checkpoint. */
function assertSameParameters(name: string, hosts: number): void {
  const first = bench.hashes(name, 0);
  assert.deepEqual(Object.keys(first), ['5', String(STEPS)]);
  for (let host = 1; host < hosts; host++) assert.deepEqual(bench.hashes(name, host), first);
}

/** Sums in another order differ by a few units in the last place of float32, and steps multiply that little yet. */
function assertClose(losses: number[], expected: number[]): void {
  assert.equal(losses.length, STEPS);
  losses.forEach((loss, step) => {
    const difference = Math.abs(loss - expected[step]!);
    assert.ok(difference <= 1e-5, `step ${step + 1} differs by ${difference}`);
  });
}

const skip = cudaIsPrepared() ? (whyNoMpi('openmpi') ?? false) : "the GPUs' addon is not built";

suite('hosts with GPUs', { skip }, () => {
  let expected: number[];
  /** Of two hosts, by the MPI: a sum of two terms is the same on every way. */
  const lossesOfTwo = new Map<MpiName, number[]>();

  before(async () => {
    expected = await train('one host', 1, [...UNEVEN, ...GROUPED], 'MPI, host memory');
  });

  for (const route of ROUTES) {
    for (const [mpi, hosts] of [
      ['openmpi', 2],
      ['openmpi', 4],
      ['mpich', 2],
    ] as [MpiName, number][]) {
      const name = `${route}, ${hosts} hosts, ${mpi}`;
      test(
        `${name}: losses of one host, and the same parameters on all at every checkpoint`,
        { skip: whyNoMpi(mpi) ?? false },
        async () => {
          const losses = await train(name, hosts, [...UNEVEN, ...GROUPED], route, mpi);
          assertClose(losses, expected);
          assertSameParameters(name, hosts);
          if (hosts > 2) return;
          assert.deepEqual(losses, lossesOfTwo.get(mpi) ?? losses);
          lossesOfTwo.set(mpi, losses);
        },
      );
    }

    for (const [what, hosts, options] of [
      ['two GPUs per host', 2, ['--gpus', '0,1']],
      ['a tower per host', 4, ['--gpus', '0', '--towers', '2', '--parallelism', 'towers']],
      ['the hybrid', 2, [...GROUPED, '--parallelism', 'hybrid']],
    ] as [string, number, string[]][]) {
      test(`${route}, ${what}: losses of one host`, async () => {
        const losses = await train(`${route}, ${what}`, hosts, [...UNEVEN, ...options], route);
        assertClose(losses, expected);
      });
    }

    test(`${route}: a batch in parts gives the losses of the whole one`, async () => {
      const inParts = ['--batch', '5', '--accumulate', '3', '--test-limit', '5'];
      const options = ['--steps', String(STEPS), ...WIDE, ...GROUPED, ...inParts];
      assertClose(await train(`${route}, parts`, 2, options, route), expected);
    });
  }

  for (const [why, environmentOn] of [
    [
      'MPI does not read the memory of GPUs',
      (host) => (host === 1 ? {} : WAYS['MPI, GPU memory'](0)),
    ],
    [
      'user does not want NCCL',
      (host) => ({ ...WAYS.NCCL(host), ...(host === 1 && { TWOTOWER_NCCL: 'never' }) }),
    ],
  ] as [string, (host: number) => Record<string, string>][]) {
    test(`one host whose ${why} has all go by copies`, async () => {
      const options = [...UNEVEN, ...GROUPED];
      const { code, stderr } = await bench.startOnHosts(why, { options, environmentOn }).outcome;
      assert.equal(code, 0, stderr);
      const { gradientRoute } = readSummary(openRunFolder(bench.run(why)));
      assert.equal(gradientRoute, 'MPI, host memory');
    });
  }

  for (const way of ROUTES) {
    const environmentOn = WAYS[way];
    test(`${way}: a process that is killed ends the run on all hosts, which resumes`, async () => {
      const name = `killed, ${way}`;
      const running = bench.startOnHosts(name, {
        options: [...UNEVEN, ...GROUPED, '--exchange-timeout', '5'],
        environmentOn,
        whenPrinted: (line, run) => {
          if (/batch +6/.test(line)) run.kill(1);
        },
      });
      const { code, stderr } = await running.outcome;
      assert.notEqual(code, 0, stderr);
      await bench.haveEnded(name);
      assert.match(stderr, /has not heard of|process rank 1 with PID \d+ on node .* \(Killed\)/);
      const { outcome } = bench.startOnHosts(name, {
        resume: true,
        environmentOn,
      });
      assert.equal((await outcome).code, 0, (await outcome).stderr);
      assertClose(bench.losses(name), expected);
    });

    test(`${way}: a process that is stopped ends the run at the time limit`, async () => {
      const name = `stopped, ${way}`;
      const running = bench.startOnHosts(name, {
        options: [...UNEVEN, ...GROUPED, '--exchange-timeout', '5'],
        environmentOn,
        whenPrinted: (line, run) => {
          if (/batch +3/.test(line)) process.kill(run.pidOf(1), 'SIGSTOP');
        },
      });
      const { code, stderr } = await running.outcome;
      assert.notEqual(code, 0, stderr);
      await bench.haveEnded(name);
      assert.match(stderr, /^twotower: .*has not heard of .* for [\d.]+ s/m);
    });

    for (const [what, variable] of FAULTS) {
      test(`${way}: a GPU that ${what} ends the run on all hosts, in one line with its host`, async () => {
        const name = `${what}, ${way}`;
        const { code, stderr } = await bench.startOnHosts(name, {
          options: [...UNEVEN, ...GROUPED],
          environmentOn: (host) => ({ ...environmentOn(host), ...(host === 1 && variable) }),
        }).outcome;
        assert.notEqual(code, 0, stderr);
        await bench.haveEnded(name);
        const lines = stderr.split('\n').filter((line) => line.startsWith('twotower: '));
        assert.equal(lines.length, 1, stderr);
        const host = bench.hostName(1).replace(/[()]/g, '\\$&');
        const where = `${host}: rank 0,1 on gpu:0 failed at step \\d+, `;
        assert.match(lines[0]!, new RegExp(`${where}.*CUDA_ERROR_(ILLEGAL_ADDRESS|LAUNCH_FAILED)`));
      });
    }
  }

  test('a failure of NCCL alone ends the run on all hosts, in one line', async () => {
    const fault = { TWOTOWER_DOUBLE_FAIL: 'ncclCommGetAsyncError:5:6' };
    const { code, stderr } = await bench.startOnHosts('NCCL fails', {
      options: [...UNEVEN, ...GROUPED],
      environmentOn: (host) => ({ ...WAYS.NCCL(host), ...(host === 1 && fault) }),
    }).outcome;
    assert.notEqual(code, 0, stderr);
    await bench.haveEnded('NCCL fails');
    const lines = stderr.split('\n').filter((line) => line.startsWith('twotower: '));
    assert.equal(lines.length, 1, stderr);
    assert.match(
      lines[0]!,
      /rank 0,1 on gpu:0 failed at step \d+, .*nccl.*: remote process exited/,
    );
  });
});
