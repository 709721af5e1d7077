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

async function train(
  name: string,
  hosts: number,
  options: string[],
  mpi: MpiName = 'openmpi',
): Promise<number[]> {
  const { code, stderr } = await bench.startOnHosts(name, { hosts, mpi, options }).outcome;
  assert.equal(code, 0, stderr);
  return bench.losses(name);
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

  before(async () => {
    expected = await train('one host', 1, [...UNEVEN, '--gpus', '0', '--towers', '2']);
  });

  for (const [mpi, hosts, devices] of [
    ['openmpi', 2, ['--gpus', '0', '--towers', '2']],
    ['openmpi', 4, ['--gpus', '0', '--towers', '2']],
    ['openmpi', 2, ['--gpus', '0,1']],
    ['mpich', 2, ['--gpus', '0', '--towers', '2']],
  ] as [MpiName, number, string[]][]) {
    const name = `${hosts} hosts, ${mpi}, ${devices.join(' ')}`;
    test(
      `${name}: losses of one host, and the same parameters on all at every checkpoint`,
      { skip: whyNoMpi(mpi) ?? false },
      async () => {
        assertClose(await train(name, hosts, [...UNEVEN, ...devices], mpi), expected);
        const first = bench.hashes(name, 0);
        assert.deepEqual(Object.keys(first), ['5', String(STEPS)]);
        for (let host = 1; host < hosts; host++) assert.deepEqual(bench.hashes(name, host), first);
      },
    );
  }

  test('a hybrid: losses of one host', async () => {
    const options = [...UNEVEN, '--gpus', '0', '--towers', '2', '--parallelism', 'hybrid'];
    assertClose(await train('hybrid', 2, options), expected);
  });

  test('a batch in parts gives the losses of the whole one', async () => {
    const inParts = ['--batch', '5', '--accumulate', '3', '--test-limit', '5'];
    const options = ['--steps', String(STEPS), ...WIDE, '--gpus', '0', '--towers', '2'];
    assertClose(await train('parts', 2, [...options, ...inParts]), expected);
  });

  test('a process that is killed ends the run on all hosts, which resumes', async () => {
    const options = [...UNEVEN, '--gpus', '0', '--towers', '2', '--exchange-timeout', '5'];
    const running = bench.startOnHosts('killed', {
      options,
      whenPrinted: (line, run) => {
        if (/batch +6/.test(line)) run.kill(1);
      },
    });
    const { code, stderr } = await running.outcome;
    assert.notEqual(code, 0, stderr);
    await bench.haveEnded('killed');
    assert.match(stderr, /has not heard of|process rank 1 with PID \d+ on node .* \(Killed\)/);
    const { outcome } = bench.startOnHosts('killed', { resume: true });
    assert.equal((await outcome).code, 0, (await outcome).stderr);
    assertClose(bench.losses('killed'), expected);
  });

  for (const [what, variable] of [
    ['is lost in the middle of a step', ['TWOTOWER_DOUBLE_LOST_AT', '9']],
    ['refuses a copy', ['TWOTOWER_DOUBLE_FAIL', 'cuMemcpyDtoHAsync_v2:12:719']],
  ] as [string, [string, string]][]) {
    test(`a GPU that ${what} ends the run on all hosts, in one line with its host`, async () => {
      const { code, stderr } = await bench.startOnHosts(what, {
        options: [...UNEVEN, '--gpus', '0', '--towers', '2'],
        environmentOn: (host) => (host === 1 ? Object.fromEntries([variable]) : {}),
      }).outcome;
      assert.notEqual(code, 0, stderr);
      await bench.haveEnded(what);
      const lines = stderr.split('\n').filter((line) => line.startsWith('twotower: '));
      assert.equal(lines.length, 1, stderr);
      const ofHost = `${bench.hostName(1).replace(/[()]/g, '\\$&')}: rank 0,1 on gpu:0 failed at step \\d+, `;
      assert.match(lines[0]!, new RegExp(`${ofHost}.*CUDA_ERROR_(ILLEGAL_ADDRESS|LAUNCH_FAILED)`));
    });
  }
});
