import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  BACKEND_NAMES,
  prepareProcess,
  whyMissing,
  type BackendName,
} from '../../src/backend/backend.js';
import { exchangedBytes } from '../../src/model/network.js';
import type { Coordinator } from '../../src/parallel/coordinator.js';
import { NotFiniteParameters } from '../../src/parallel/shared_parameters.js';
import type { SharedParameters } from '../../src/parallel/shared_parameters.js';
import type { StepResult } from '../../src/parallel/step_outcome.js';
import { compareWithFiniteDifferences } from '../../src/training/gradient_check.js';
import {
  BATCH,
  RULE,
  SEED,
  noiseBatchOf,
  openCoordinator,
  steps,
  withCoordinatorOn,
} from './two_placements.js';

/** Parameters made not finite, each in a way that a mask could hide. */
const SPOILED: { parameter: string; fill: (values: Float32Array) => unknown }[] = [
  { parameter: 'conv1.weight', fill: (values) => values.fill(NaN) },
  { parameter: 'conv1.weight', fill: (values) => values.fill(NaN, 7, 8) },
  { parameter: 'conv1.bias', fill: (values) => values.fill(-Infinity, 3, 4) },
  { parameter: 'fc1.weight', fill: (values) => values.fill(Infinity, 11, 12) },
];

prepareProcess();

const losses = (results: StepResult[]): number[] => results.map(({ loss }) => loss);

/** Float32 sums in another order differ by about √n·6e-8; 20 steps of training carry that on. */
const LOSS_TOLERANCE = 1e-5;

function assertSameLosses(one: number[], other: number[], tolerance = LOSS_TOLERANCE): void {
  one.forEach((loss, step) => {
    const difference = Math.abs(loss - other[step]!) / Math.abs(loss);
    assert.ok(difference <= tolerance, `step ${step + 1}: ${loss} and ${other[step]}`);
  });
}

const prepared = BACKEND_NAMES.filter((backend) => whyMissing(backend) === null);

interface Trained {
  losses: number[];
  parameters: Record<string, SharedArrayBuffer>;
}

const trainings = new Map<string, Promise<Trained>>();

/** 20 steps, which are made once for all tests that look at them. */
function trained(backend: BackendName, workers: number[][]): Promise<Trained> {
  const key = `${backend} ${JSON.stringify(workers)}`;
  const training =
    trainings.get(key) ??
    withCoordinatorOn(backend, workers, async (coordinator) => ({
      losses: losses(await steps(coordinator, 20)),
      parameters: (await coordinator.store()).parameters,
    }));
  trainings.set(key, training);
  return training;
}

test('every backend gives the same losses, 20 steps', async () => {
  const results: number[][] = [];
  for (const backend of prepared) results.push((await trained(backend, [[0], [1]])).losses);
  const [first, ...others] = results;
  // The backends' roundings differ by a few times those of one backend in two orders.
  for (const other of others) assertSameLosses(first!, other, 1e-4);
});

/** Ctrl-C ends every phase within two seconds. */
const STOP_MS = 2000;

test('opening that is given up ends at once with the reason of its signal', async () => {
  const controller = new AbortController();
  const opening = openCoordinator(prepared[0]!, [[0], [1]], controller.signal);
  const asked = performance.now();
  controller.abort(new Error('stop'));
  await assert.rejects(opening, { message: 'stop' });
  const waited = performance.now() - asked;
  assert.ok(waited <= STOP_MS, `${waited} ms`);
});

test('a check of gradients that is given up ends after the parameter under way', async () => {
  const controller = new AbortController();
  let begun = 0;
  const checking = withCoordinatorOn(prepared[0]!, [[0]], (coordinator) =>
    compareWithFiniteDifferences(
      coordinator,
      noiseBatchOf(SEED, 0),
      () => {
        begun++;
        controller.abort(new Error('stop'));
      },
      controller.signal,
    ),
  );
  await assert.rejects(checking, { message: 'stop' });
  assert.equal(begun, 1);
});

test('every store fills the same memory', async () => {
  await withCoordinatorOn(prepared[0]!, [[0], [1]], async (coordinator) => {
    const { parameters, velocities } = await coordinator.store();
    await steps(coordinator, 1);
    const again = await coordinator.store();
    for (const name of Object.keys(parameters)) {
      assert.equal(again.parameters[name], parameters[name], name);
      assert.equal(again.velocities[name], velocities[name], name);
    }
  });
});

test('a store after a load fills the memory that was loaded from', async () => {
  await withCoordinatorOn(prepared[0]!, [[0], [1]], async (coordinator) => {
    const loaded = copyOf(await coordinator.store());
    await coordinator.load(loaded);
    const stored = await coordinator.store();
    assert.equal(stored.parameters['conv1.weight'], loaded.parameters['conv1.weight']);
  });
});

for (const backend of prepared) suite(backend, () => coordinatorTests(backend));

function coordinatorTests(backend: BackendName): void {
  const withCoordinator = <Result>(
    workers: number[][],
    work: (coordinator: Coordinator) => Promise<Result>,
  ): Promise<Result> => withCoordinatorOn(backend, workers, work);

  test('two towers give the same losses split and grouped, 20 steps', async () => {
    const split = await trained(backend, [[0], [1]]);
    const grouped = await trained(backend, [[0, 1]]);
    assertSameLosses(split.losses, grouped.losses);
    assert.notEqual(split.losses[0], split.losses[19]);
  });

  test('four towers give the same losses on four workers and on one, 20 steps', async () => {
    const four = await trained(backend, [[0], [1], [2], [3]]);
    const one = await trained(backend, [[0, 1, 2, 3]]);
    assertSameLosses(four.losses, one.losses);
  });

  test('ranks may be dealt to workers in any order', async () => {
    const mixed = await withCoordinator(
      [
        [0, 3],
        [1, 2],
      ],
      (coordinator) => steps(coordinator, 5),
    );
    const one = await trained(backend, [[0, 1, 2, 3]]);
    assertSameLosses(losses(mixed), one.losses);
  });

  test('the parameters after 20 steps are the same split and grouped', async () => {
    const { parameters: split } = await trained(backend, [[0], [1]]);
    const { parameters: grouped } = await trained(backend, [[0, 1]]);
    for (const [name, buffer] of Object.entries(split)) {
      const one = new Float32Array(buffer);
      const other = new Float32Array(grouped[name]!);
      const norm = Math.hypot(...one);
      const difference = Math.hypot(...one.map((value, index) => value - other[index]!));
      assert.ok(difference <= 1e-5 * norm, `${name}: ${difference} of ${norm}`);
    }
  });

  for (const workers of [[[0], [1]], [[0, 1]], [[0]]]) {
    test(`analytic gradients match finite differences on ${JSON.stringify(workers)}`, async () => {
      const checks = await withCoordinator(workers, (coordinator) =>
        compareWithFiniteDifferences(coordinator, noiseBatchOf(SEED, 0)),
      );
      for (const { parameter, relativeError, analytic, numeric } of checks) {
        // ReLU and pooling bend the loss within the move; a gradient counted twice is off by half.
        assert.ok(relativeError <= 0.01, `${parameter}: ${analytic} against ${numeric}`);
      }
    });
  }

  test('the bytes that cross in a step are those that the plan states', async () => {
    await withCoordinator([[0], [1]], async (coordinator) => {
      const [result] = await steps(coordinator, 1);
      const bytes = result!.timings.reduce((sum, { exchangeBytes }) => sum + exchangeBytes, 0);
      assert.equal(bytes, exchangedBytes(coordinator.network, BATCH));
    });
  });

  test('parameters that are not finite end the first step, which names their layer', async () => {
    await withCoordinator([[0], [1]], async (coordinator) => {
      const shared = await coordinator.store();
      for (const { parameter, fill } of SPOILED) {
        const values = new Float32Array(shared.parameters[parameter]!);
        const whole = values.slice();
        fill(values);
        await coordinator.load(shared);
        const layer = parameter.split('.')[0]!;
        const outcome = await coordinator.step(1, noiseBatchOf(SEED, 1), RULE);
        assert.ok(!outcome.finite);
        assert.equal(outcome.error.layer, layer);
        assert.match(
          outcome.error.message,
          new RegExp(`^step 1: the parameter of ${layer} on rank \\d is not finite`),
        );
        values.set(whole);
      }
      await coordinator.load(shared);
      await steps(coordinator, 1);
    });
  });

  test('a step that is not finite changes no parameter on any rank', async () => {
    await withCoordinator([[0], [1]], async (coordinator) => {
      await steps(coordinator, 1);
      const shared = copyOf(await coordinator.store());
      // The last kernel, so one of rank 1: finite, but its products overflow.
      new Float32Array(shared.parameters['conv2.weight']!).fill(3e38, -9 * 8);
      const before = copyOf(shared);
      await coordinator.load(shared);
      const outcome = await coordinator.step(2, noiseBatchOf(SEED, 2), RULE);
      assert.equal(outcome.finite, false);
      assert.deepEqual(copyOf(await coordinator.store()), before);
    });
  });

  test('parameters and momentum come back to the bit after store and load', async () => {
    await withCoordinator([[0], [1]], async (coordinator) => {
      await steps(coordinator, 2);
      const before = copyOf(await coordinator.store());
      await steps(coordinator, 2);
      await coordinator.load(copyOf(before));
      assert.deepEqual(copyOf(await coordinator.store()), before);
    });
  });

  for (const kind of ['parameters', 'velocities'] as const) {
    test(`${kind} that are not finite are refused by name, the network's first`, async () => {
      await withCoordinator([[0], [1]], async (coordinator) => {
        await steps(coordinator, 1);
        const shared = await coordinator.store();
        // One value of rank 1, and one of a later layer on rank 0.
        new Float32Array(shared[kind]['conv2.weight']!).fill(NaN, -1);
        new Float32Array(shared[kind]['fc2.weight']!).fill(Infinity, 0, 1);
        await coordinator.load(shared);
        await assert.rejects(coordinator.store(), (error) => {
          assert.ok(error instanceof NotFiniteParameters);
          const tensor = kind === 'parameters' ? 'conv2.weight' : 'the momentum of conv2.weight';
          assert.deepEqual([error.tensor, error.step], [tensor, 1]);
          assert.match(error.message, /conv2\.weight is not finite after step 1: /);
          return true;
        });
      });
    });
  }
}

function copyOf({ parameters, velocities }: SharedParameters): SharedParameters {
  const copy = (tensors: Record<string, SharedArrayBuffer>): Record<string, SharedArrayBuffer> =>
    Object.fromEntries(Object.entries(tensors).map(([name, buffer]) => [name, buffer.slice(0)]));
  return { parameters: copy(parameters), velocities: copy(velocities) };
}
