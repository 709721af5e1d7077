/** Networks whose towers are on different hosts, which stand here as processes on this one. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BACKEND_NAMES, prepareProcess, whyMissing } from '../../src/backend/backend.js';
import type { BackendName } from '../../src/backend/backend.js';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import type { MpiName } from '../../src/parallel/process_group.js';
import { launcherOf } from '../hosts/launchers.js';
import { LIMIT_MS, hashOfLogits, hashOfParameters } from './tower_host.js';
import type { HostReport, HostTask } from './tower_host.js';
import { SEED, noiseBatchOf, steps, withCoordinatorOn } from './two_placements.js';

const HOST = fileURLToPath(new URL('./tower_host.js', import.meta.url));

prepareProcess();

async function onHosts(
  processes: number,
  task: HostTask,
  mpi: MpiName = 'openmpi',
): Promise<HostReport[]> {
  const { program, words, environment } = launcherOf(mpi, processes);
  const command = [...words, process.execPath, HOST, JSON.stringify(task)];
  const { stdout } = await promisify(execFile)(program, command, {
    env: { ...process.env, ...environment },
  });
  const lines = stdout.trim().split('\n');
  return lines
    .map((line) => JSON.parse(line) as HostReport)
    .sort((one, other) => one.process - other.process);
}

/** The same on one host. */
async function onOne(backend: BackendName, workers: number[][], count: number) {
  return withCoordinatorOn(backend, workers, async (coordinator) => {
    const results = await steps(coordinator, count);
    const logits = await coordinator.logitsOf(noiseBatchOf(SEED, 1));
    return {
      losses: results.map(({ loss }) => loss),
      accuracies: results.map(({ accuracy }) => accuracy),
      parameters: hashOfParameters(await coordinator.store()),
      logits: hashOfLogits(logits),
    };
  });
}

const isPrepared = (backend: BackendName): boolean => whyMissing(backend) === null;

/** The first one shares tensors among threads if there is one that does; the last one copies. */
const shared = BACKEND_NAMES.find(isPrepared)!;
const copied = BACKEND_NAMES.findLast(isPrepared)!;

const skipOf = (mpi: MpiName): string | false => whyNoMpi(mpi) ?? false;

/** Trains on two hosts and on one, and expects the same bits of both. */
async function assertSameBits(task: HostTask, onOneHost: number[][], mpi?: MpiName): Promise<void> {
  const hosts = await onHosts(2, task, mpi);
  const one = await onOne(task.backend, onOneHost, task.steps);
  assert.notEqual(one.losses[0], one.losses[task.steps - 1]);
  for (const { losses, accuracies, logits } of hosts) {
    assert.deepEqual(
      { losses, accuracies, logits },
      { losses: one.losses, accuracies: one.accuracies, logits: one.logits },
    );
  }
  assert.equal(hosts[0]!.parameters, one.parameters, 'the first host has the shares of all');
}

/** The processes are two hosts of one replica. */
const twoHosts = { hostsPerReplica: 2, steps: 3 };

suite(
  'towers on different hosts compute the same bits as on one',
  { skip: skipOf('openmpi') },
  () => {
    test('a tower per host, 30 steps', async () => {
      const task = { ...twoHosts, backend: shared, towers: 2, workers: [[0]], steps: 30 };
      await assertSameBits(task, [[0], [1]]);
    });

    test(`with tensors that are copied (${copied})`, async () => {
      const task = { ...twoHosts, backend: copied, towers: 2, workers: [[0]] };
      await assertSameBits(task, [[0], [1]]);
    });

    for (const backend of new Set([shared, copied])) {
      test(`two workers per host (${backend})`, async () => {
        const task = { ...twoHosts, backend, towers: 4, workers: [[0], [1]] };
        await assertSameBits(task, [[0], [1], [2], [3]]);
      });
    }

    test('two towers on the one worker of each host', async () => {
      const task = { ...twoHosts, backend: shared, towers: 4, workers: [[0, 1]] };
      await assertSameBits(task, [
        [0, 1],
        [2, 3],
      ]);
    });

    test('over MPICH', { skip: skipOf('mpich') }, async () => {
      const task = { ...twoHosts, backend: shared, towers: 2, workers: [[0]] };
      await assertSameBits(task, [[0], [1]], 'mpich');
    });
  },
);

suite('two replicas, each divided among two hosts', { skip: skipOf('openmpi') }, () => {
  test('give the losses of one host, 9 steps, and stay equal', async () => {
    const task = { ...twoHosts, backend: shared, towers: 2, workers: [[0]], steps: 9 };
    const hosts = await onHosts(4, task);
    const one = await onOne(shared, [[0], [1]], 9);
    for (const { losses, parameters } of hosts) {
      losses.forEach((loss, step) => {
        // The gradients of the halves of a batch are summed in another order than those of the whole.
        assert.ok(Math.abs(loss - one.losses[step]!) <= 1e-5, `${loss} and ${one.losses[step]!}`);
      });
      assert.deepEqual(losses, hosts[0]!.losses);
      assert.equal(parameters.length, 64);
    }
    assert.equal(hosts[1]!.parameters, hosts[3]!.parameters, 'second hosts hold the same ranks');
  });
});

suite('a tower on another host that does not come', { skip: skipOf('openmpi') }, () => {
  test('is named with its host, the layer and the step', async () => {
    const task = { ...twoHosts, backend: shared, towers: 2, workers: [[0]] };
    await assert.rejects(onHosts(2, { ...task, isSecondLate: true }), ({ stderr }) => {
      const [, host] = / on ([^ ]+ \(1\)) has/.exec(stderr as string) ?? [];
      assert.ok(
        (stderr as string).includes(
          `rank 1 on ${host} has not come to conv3 (forward) for ${(2 * LIMIT_MS) / 1000} s at step 3: it hangs, is slow or cannot be reached`,
        ),
        stderr as string,
      );
      return true;
    });
  });
});
