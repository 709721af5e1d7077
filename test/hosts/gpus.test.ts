/**
 * Hosts whose workers compute on GPUs: their gradients are summed as those of CPU workers are. The GPUs are doubles (see
 * test/cuda_double), one or two per process.
 */
import '../backend/cuda/use_double.js';
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { loadConfiguration } from '../../src/configuration.js';
import { cudaIsPrepared } from '../../src/backend/native/cuda_addon.js';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import type { MpiName } from '../../src/parallel/process_group.js';
import type { GradientRoute } from '../../src/parallel/messages.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { readSummary } from '../../src/runs/summary.js';
import { TINY } from '../commands/command_line.js';
import { HostsWorkbench } from './hosts_workbench.js';

const STEPS = 9;

/** The tiny network with a wide layer: its gradient is large enough to be sent during the backward pass. */
const WIDE = [
  '--set',
  `network.layers=${JSON.stringify(
    loadConfiguration({ file: TINY }).network.layers.map((layer) =>
      'units' in layer && layer.name === 'fc1' ? { ...layer, units: 2048 } : layer,
    ),
  )}`,
];

/** 15 images do not divide evenly among two or four hosts. */
const UNEVEN = ['--steps', String(STEPS), '--batch', '15', ...WIDE];

const bench = new HostsWorkbench(4);
after(() => bench.remove());

const GROUPED = ['--gpus', '0', '--towers', '2'];

/** How gradients travel, with the variables that choose it. The double's GPUs have the memory of the host. */
const WAYS: [GradientRoute, Record<string, string>][] = [
  ['MPI, host memory', {}],
  ['MPI, GPU memory', { TWOTOWER_CUDA_AWARE_MPI: 'always' }],
];

/** What happens to a GPU between its third step and its eighth. */
const FAULTS: [string, Record<string, string>][] = [
  ['is lost in the middle of a step', { TWOTOWER_DOUBLE_LOST_AT: '9' }],
  ['refuses to wait for an event', { TWOTOWER_DOUBLE_FAIL: 'cuStreamWaitEvent:9:719' }],
];

/** What each run has printed. */
const printed = new Map<string, string>();

async function train(
  name: string,
  hosts: number,
  options: string[],
  { mpi = 'openmpi', environment = {} }: TrainSettings = {},
): Promise<number[]> {
  const settings = { hosts, mpi, options, environmentOn: () => environment };
  const { code, stdout, stderr } = await bench.startOnHosts(name, settings).outcome;
  assert.equal(code, 0, stderr);
  printed.set(name, stdout);
  return bench.losses(name);
}

interface TrainSettings {
  mpi?: MpiName;
  environment?: Record<string, string>;
}

function assertRoute(name: string, route: GradientRoute): void {
  assert.match(printed.get(name)!, new RegExp(`^gradients are summed by ${route}$`, 'm'));
  assert.equal(readSummary(openRunFolder(bench.run(name))).gradientRoute, route);
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

suite('replicas on GPUs', { skip }, () => {
  let expected: number[];
  /** By the number of hosts and the MPI, of two towers on one GPU. */
  const lossesByCopies = new Map<string, number[]>();

  before(async () => {
    expected = await train('one host', 1, [...UNEVEN, ...GROUPED]);
  });

  for (const [mpi, hosts, devices] of [
    ['openmpi', 2, ['--gpus', '0,1']],
    ['openmpi', 2, GROUPED],
    ['openmpi', 4, GROUPED],
    ['mpich', 2, GROUPED],
  ] as [MpiName, number, string[]][]) {
    const name = `${hosts} hosts, ${mpi}, ${devices.join(' ')}`;
    test(
      `${name}: losses of one host, and the same parameters on all at every checkpoint`,
      { skip: whyNoMpi(mpi) ?? false },
      async () => {
        const losses = await train(name, hosts, [...UNEVEN, ...devices], { mpi });
        lossesByCopies.set(`${hosts} ${mpi}`, losses);
        assertClose(losses, expected);
        assertSameParameters(name, hosts);
        assertRoute(name, 'MPI, host memory');
      },
    );
  }

  for (const [mpi, hosts] of [
    ['openmpi', 2],
    ['openmpi', 4],
    ['mpich', 2],
  ] as [MpiName, number][]) {
    test(
      `an MPI that reads the memory of GPUs sums there: ${hosts} hosts, ${mpi}`,
      { skip: whyNoMpi(mpi) ?? false },
      async () => {
        const name = `in place ${hosts} ${mpi}`;
        const environment = { TWOTOWER_CUDA_AWARE_MPI: 'always' };
        const losses = await train(name, hosts, [...UNEVEN, ...GROUPED], { mpi, environment });
        // Of two terms there is one sum.
        if (hosts === 2) assert.deepEqual(losses, lossesByCopies.get(`2 ${mpi}`));
        assertClose(losses, expected);
        assertSameParameters(name, hosts);
        assertRoute(name, 'MPI, GPU memory');
      },
    );
  }

  test('a host whose MPI does not read the memory of GPUs has all go by copies', async () => {
    const { code, stderr } = await bench.startOnHosts('mixed', {
      options: [...UNEVEN, ...GROUPED],
      environmentOn: (host) => (host === 1 ? {} : { TWOTOWER_CUDA_AWARE_MPI: 'always' }),
    }).outcome;
    assert.equal(code, 0, stderr);
    const { gradientRoute } = readSummary(openRunFolder(bench.run('mixed')));
    assert.equal(gradientRoute, 'MPI, host memory');
    assert.deepEqual(bench.losses('mixed'), lossesByCopies.get('2 openmpi'));
  });

  test('a hybrid: losses of one host', async () => {
    const options = [...UNEVEN, ...GROUPED, '--parallelism', 'hybrid'];
    assertClose(await train('hybrid', 2, options), expected);
  });

  test('a batch in parts gives the losses of the whole one', async () => {
    const inParts = ['--batch', '5', '--accumulate', '3', '--test-limit', '5'];
    const options = ['--steps', String(STEPS), ...WIDE, ...GROUPED];
    assertClose(await train('parts', 2, [...options, ...inParts]), expected);
  });

  for (const [way, environment] of WAYS) {
    test(`${way}: a process that is killed ends the run on all hosts, which resumes`, async () => {
      const name = `killed, ${way}`;
      const running = bench.startOnHosts(name, {
        options: [...UNEVEN, ...GROUPED, '--exchange-timeout', '5'],
        environmentOn: () => environment,
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
        environmentOn: () => environment,
      });
      assert.equal((await outcome).code, 0, (await outcome).stderr);
      assertClose(bench.losses(name), expected);
    });

    test(`${way}: a process that is stopped ends the run at the time limit`, async () => {
      const name = `stopped, ${way}`;
      const running = bench.startOnHosts(name, {
        options: [...UNEVEN, ...GROUPED, '--exchange-timeout', '5'],
        environmentOn: () => environment,
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
          environmentOn: (host) => ({ ...environment, ...(host === 1 && variable) }),
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
});
