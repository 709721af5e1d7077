/** Networks whose towers are on different hosts, which stand here as processes on this one. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { planHosts } from '../../src/library/plan_hosts.js';
import { buildNetwork } from '../../src/model/network.js';
import type { MpiName } from '../../src/parallel/process_group.js';
import { copied, onHosts, onOne, shared, skipOf } from './on_hosts.js';
import { LIMIT_MS } from './tower_host.js';
import type { HostReport, HostTask } from './tower_host.js';
import { BATCH, CLASSES, smallConfiguration } from '../parallel/two_placements.js';

/** Trains on two hosts and on one, and expects the same bits of both. */
async function assertSameBits(
  task: HostTask,
  onOneHost: number[][],
  mpi?: MpiName,
): Promise<HostReport[]> {
  const hosts = await onHosts(2, task, mpi);
  const one = await onOne(task, onOneHost);
  assert.notEqual(one.losses[0], one.losses[task.steps - 1]);
  for (const { losses, accuracies, logits } of hosts) {
    assert.deepEqual(losses, one.losses);
    assert.deepEqual(accuracies, one.accuracies);
    assert.deepEqual(logits, one.logits);
  }
  assert.equal(hosts[0]!.parameters, one.parameters, 'the first host has the shares of all');
  return hosts;
}

/** The processes are two hosts of one replica. */
const twoHosts = { hostsPerReplica: 2, steps: 3 };

suite(
  'towers on different hosts compute the same bits as on one',
  { skip: skipOf('openmpi') },
  () => {
    test('a tower per host, 30 steps', async () => {
      const task = { ...twoHosts, backend: shared, towers: 2, workers: [[0]], steps: 30 };
      const [first] = await assertSameBits(task, [[0], [1]]);
      const network = buildNetwork(smallConfiguration(1, 2).network, 2, CLASSES);
      const { traffic } = planHosts(network, 2, BATCH).find((one) => one.parallelism === 'towers')!;
      assert.equal(first!.exchangeBytes, traffic!.exchangedBytes, 'as plan says');
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
    const one = await onOne(task, [[0], [1]]);
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
