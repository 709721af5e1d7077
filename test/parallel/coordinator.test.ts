import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  BACKEND_NAMES,
  prepareProcess,
  whyMissing,
  type BackendName,
} from '../../src/backend/backend.js';
import { Coordinator, NotFiniteError } from '../../src/parallel/coordinator.js';
import type { StepResult } from '../../src/parallel/coordinator.js';
import { exchangedBytes } from '../../src/model/network.js';
import { cpuPlacement, noiseBatchOf, smallConfiguration, BATCH } from './two_placements.js';

prepareProcess();

const SEED = 20_12;
const RULE = { learningRate: 0.05, momentum: 0.9, weightDecay: 5e-4 };

/** Runs `work` with a coordinator over `workers`, and closes it. */
async function withCoordinatorOn<Result>(
  backend: BackendName,
  workers: number[][],
  work: (coordinator: Coordinator) => Promise<Result>,
): Promise<Result> {
  const towers = workers.flat().length;
  const coordinator = await Coordinator.open({
    configuration: smallConfiguration(SEED, towers),
    towers,
    placement: cpuPlacement(workers),
    backend,
    batch: BATCH,
  });
  try {
    return await work(coordinator);
  } finally {
    await coordinator.close();
  }
}

async function steps(coordinator: Coordinator, count: number): Promise<StepResult[]> {
  const results: StepResult[] = [];
  for (let step = 1; step <= count; step++) {
    results.push(await coordinator.step(step, noiseBatchOf(SEED, step), RULE));
  }
  return results;
}

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

test('every backend gives the same losses, 20 steps', async () => {
  const results = new Map<string, number[]>();
  for (const backend of prepared) {
    results.set(
      backend,
      losses(await withCoordinatorOn(backend, [[0], [1]], (coordinator) => steps(coordinator, 20))),
    );
  }
  const [[, first], ...others] = [...results] as [[string, number[]], ...[string, number[]][]];
  // The backends' own roundings differ by a few times one backend's in two orders.
  for (const [, other] of others) assertSameLosses(first, other, 1e-4);
});

for (const backend of prepared) suite(backend, () => coordinatorTests(backend));

function coordinatorTests(backend: BackendName): void {
  const withCoordinator = <Result>(
    workers: number[][],
    work: (coordinator: Coordinator) => Promise<Result>,
  ): Promise<Result> => withCoordinatorOn(backend, workers, work);

  test('two towers give the same losses split and grouped, 20 steps', async () => {
    const split = await withCoordinator([[0], [1]], (coordinator) => steps(coordinator, 20));
    const grouped = await withCoordinator([[0, 1]], (coordinator) => steps(coordinator, 20));
    assertSameLosses(losses(split), losses(grouped));
    assert.notEqual(split[0]!.loss, split[19]!.loss);
  });

  test('four towers give the same losses on four workers, two and one, 20 steps', async () => {
    const four = await withCoordinator([[0], [1], [2], [3]], (coordinator) =>
      steps(coordinator, 20),
    );
    const two = await withCoordinator(
      [
        [0, 1],
        [2, 3],
      ],
      (coordinator) => steps(coordinator, 20),
    );
    const one = await withCoordinator([[0, 1, 2, 3]], (coordinator) => steps(coordinator, 20));
    assertSameLosses(losses(four), losses(two));
    assertSameLosses(losses(four), losses(one));
  });

  test('ranks may be dealt to workers in any order', async () => {
    const mixed = await withCoordinator(
      [
        [0, 3],
        [1, 2],
      ],
      (coordinator) => steps(coordinator, 5),
    );
    const one = await withCoordinator([[0, 1, 2, 3]], (coordinator) => steps(coordinator, 5));
    assertSameLosses(losses(mixed), losses(one));
  });

  test('the parameters after 20 steps are the same split and grouped', async () => {
    const parametersOf = async (
      coordinator: Coordinator,
    ): Promise<Record<string, SharedArrayBuffer>> => {
      await steps(coordinator, 20);
      return (await coordinator.store()).parameters;
    };
    const split = await withCoordinator([[0], [1]], parametersOf);
    const grouped = await withCoordinator([[0, 1]], parametersOf);
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
        coordinator.checkGradients(noiseBatchOf(SEED, 0), 2e-3),
      );
      for (const { parameter, relativeError, analytic, numeric } of checks) {
        // ReLU and pooling bend the loss within the move; a gradient counted twice is off by half.
        assert.ok(relativeError <= 0.03, `${parameter}: ${analytic} against ${numeric}`);
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

  test('a step that is not finite changes no parameter on any rank', async () => {
    await withCoordinator([[0], [1]], async (coordinator) => {
      await steps(coordinator, 1);
      const shared = await coordinator.store();
      // One weight of rank 1 only.
      new Float32Array(shared.parameters['conv2.weight']!).fill(Infinity, -1);
      await coordinator.load(shared);
      await assert.rejects(coordinator.step(2, noiseBatchOf(SEED, 2), RULE), NotFiniteError);
      const after = await coordinator.store();
      for (const kind of ['parameters', 'velocities'] as const) {
        for (const [name, buffer] of Object.entries(shared[kind])) {
          assert.deepEqual(new Float32Array(after[kind][name]!), new Float32Array(buffer), name);
        }
      }
    });
  });

  test('parameters and velocities come back to the bit after store and load', async () => {
    await withCoordinator([[0], [1]], async (coordinator) => {
      await steps(coordinator, 2);
      const shared = await coordinator.store();
      await steps(coordinator, 2);
      await coordinator.load(shared);
      const again = await coordinator.store();
      for (const kind of ['parameters', 'velocities'] as const) {
        for (const [name, buffer] of Object.entries(shared[kind])) {
          assert.deepEqual(new Float32Array(again[kind][name]!), new Float32Array(buffer), name);
        }
      }
    });
  });

  test('tensors stay constant and memory within 5 % over 300 steps', async () => {
    await withCoordinator([[0], [1]], async (coordinator) => {
      await steps(coordinator, 50);
      const before = { memory: await coordinator.memory(), resident: process.memoryUsage.rss() };
      await steps(coordinator, 300);
      const after = { memory: await coordinator.memory(), resident: process.memoryUsage.rss() };
      assert.deepEqual(after.memory, before.memory);
      assert.ok(
        after.resident <= 1.05 * before.resident,
        `${before.resident} bytes grew to ${after.resident}`,
      );
    });
  });
}
