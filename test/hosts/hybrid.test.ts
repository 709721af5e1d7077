/**
 * The hybrid of "One weird trick", on hosts that are processes on this one: convolutional layers for each host's own
 * images, fully-connected layers divided among all hosts.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { planHosts } from '../../src/library/plan_hosts.js';
import { divideFullyConnected } from '../../src/model/hybrid.js';
import { buildNetwork } from '../../src/model/network.js';
import { copied, onHosts, onOne, shared, skipOf } from './on_hosts.js';
import type { HostReport, HostTask } from './tower_host.js';
import { BATCH, CLASSES, smallConfiguration } from '../parallel/two_placements.js';

const hybrid = { isHybrid: true, hostsPerReplica: 2, steps: 9, backend: shared };

/** Float32 sums in another order: the gradients of a host's images are added to those of another. */
const TOLERANCE = 1e-5;

function assertClose(values: number[], expected: number[], what: string): void {
  assert.equal(values.length, expected.length, what);
  values.forEach((value, index) => {
    const wanted = expected[index]!;
    assert.ok(Math.abs(value - wanted) <= TOLERANCE, `${what} ${index}: ${value}, not ${wanted}`);
  });
}

/** Expects of the hosts what one host computes. */
function assertSame(hosts: HostReport[], one: HostReport): void {
  for (const { losses, accuracies } of hosts) {
    assertClose(losses, one.losses, 'loss of step');
    assert.deepEqual(losses, hosts[0]!.losses);
    assert.deepEqual(accuracies, one.accuracies);
  }
  const all = (kind: 'logits' | 'logitsOfOne'): number[] => hosts.flatMap((host) => host[kind]);
  assertClose(all('logits'), one.logits, 'logit');
  assertClose(all('logitsOfOne'), one.logitsOfOne, 'logit of one image');
}

suite('a hybrid computes what one host computes', { skip: skipOf('openmpi') }, () => {
  test('with one tower, on two hosts, 9 steps', async () => {
    const task: HostTask = { ...hybrid, towers: 1, workers: [[0]] };
    const hosts = await onHosts(2, task);
    assertSame(hosts, await onOne(task, [[0]]));
    const dense = buildNetwork(smallConfiguration(1, 1).network, 1, CLASSES);
    const planned = planHosts(dense, 2, BATCH).find(({ parallelism }) => parallelism === 'hybrid')!;
    assert.equal(hosts[0]!.exchangeBytes, planned.traffic!.exchangedBytes, 'as plan says');
  });

  test(`with two workers per host, whose tensors are copied (${copied})`, async () => {
    const task: HostTask = { ...hybrid, backend: copied, towers: 2, workers: [[0], [1]], steps: 3 };
    assertSame(await onHosts(2, task), await onOne(task, [[0], [1]]));
  });

  test('with two towers on a worker, and hosts that have unequal numbers of images', async () => {
    const task: HostTask = { ...hybrid, towers: 2, workers: [[0, 1]], images: BATCH - 1, steps: 3 };
    assertSame(await onHosts(2, task), await onOne(task, [[0, 1]]));
  });
});

test(
  'analytic gradients of a hybrid match finite differences',
  { skip: skipOf('openmpi') },
  async () => {
    const task: HostTask = {
      ...hybrid,
      towers: 2,
      workers: [[0], [1]],
      steps: 1,
      checksGradients: true,
    };
    const hosts = await onHosts(2, task);
    for (const { checks } of hosts) {
      assert.equal(checks.length, 10);
      for (const { parameter, relativeError, analytic, numeric } of checks) {
        // ReLU and pooling bend the loss within the move; a gradient counted twice is off by half.
        assert.ok(relativeError <= 0.01, `${parameter}: ${analytic} against ${numeric}`);
      }
    }
  },
);

suite('dividing fully-connected layers among hosts', () => {
  const network = buildNetwork(smallConfiguration(1, 2).network, 2, CLASSES);

  test('divides their units, and gathers the images before the first of them', () => {
    const { layers, parameters } = divideFullyConnected(network, 2);
    const divided = layers.filter(({ hosts }) => hosts === 2);
    assert.deepEqual(
      divided.map(({ name, output }) => [name, output.channels]),
      [
        ['fc1', 8],
        ['relu4', 8],
        ['dropout2', 8],
        ['fc2', 2],
      ],
    );
    assert.deepEqual(
      layers.filter(({ gathersImages }) => gathersImages).map(({ name }) => name),
      ['fc1'],
    );
    assert.deepEqual(
      parameters.filter(({ hosts }) => hosts === 2).map(({ name }) => name),
      ['fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias'],
    );
  });

  test('refuses units that cannot be divided, by the layer’s name', () => {
    assert.throws(() => divideFullyConnected(network, 3), {
      name: 'UserError',
      message:
        'layer fc1: 32 units cannot be divided among 6 ranks, so that the fully-connected layers cannot be divided among hosts; give --parallelism replicas',
    });
  });

  test('among one host changes nothing', () => {
    assert.equal(divideFullyConnected(network, 1), network);
  });
});
