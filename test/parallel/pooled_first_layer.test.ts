/** In training the native backend computes the first layer, its ReLU and the pooling after them at once; others do not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prepareProcess, whyMissing, type BackendName } from '../../src/backend/backend.js';
import { Coordinator } from '../../src/parallel/coordinator.js';
import type { LayerSpecification } from '../../src/model/layers.js';
import {
  BATCH,
  SEED,
  cpuPlacement,
  noiseBatchOf,
  smallConfiguration,
  steps,
} from './two_placements.js';

prepareProcess();

const skip = whyMissing('native') ?? whyMissing('wasm') ?? false;

/** Float32 sums in another order, by other kernels, carried on for ten steps. */
const TOLERANCE = 1e-4;

/** The small network without its normalization, so that pooling follows the first layer, and without dropout. */
function open(backend: BackendName, workers: number[][], changes: object): Promise<Coordinator> {
  const configuration = smallConfiguration(SEED, 2);
  const [conv1, relu, , maxPool, ...rest] = configuration.network.layers;
  const first = [{ ...conv1, ...changes }, relu, { ...maxPool, ...changes }];
  const layers = [
    ...first,
    ...rest.filter(({ type }) => type !== 'dropout'),
  ] as LayerSpecification[];
  return Coordinator.open({
    configuration: { ...configuration, network: { ...configuration.network, layers } },
    ...{ towers: 2, placement: cpuPlacement(workers), backend, batch: BATCH },
  });
}

const CASES = {
  'padded by copying': {},
  'with windows past the far edges': { ceil: true, pad: 2 },
} as const;

for (const [name, changes] of Object.entries(CASES)) {
  test(
    `a first layer ${name} gives the losses of another backend, ten steps`,
    { skip },
    async () => {
      const [pooled, grouped, apart] = await Promise.all(
        (
          [
            ['native', [[0], [1]]],
            ['native', [[0, 1]]],
            ['wasm', [[0], [1]]],
          ] as const
        ).map(async ([backend, workers]) => {
          const coordinator = await open(
            backend,
            workers.map((ranks) => [...ranks]),
            changes,
          );
          try {
            const before = await coordinator.logitsOf(noiseBatchOf(SEED, 1), 1);
            assert.deepEqual(before, await coordinator.logitsOf(noiseBatchOf(SEED, 1), null));
            return (await steps(coordinator, 10)).map(({ loss }) => loss);
          } finally {
            await coordinator.close();
          }
        }),
      );
      for (const [step, loss] of pooled!.entries()) {
        for (const other of [grouped![step]!, apart![step]!]) {
          assert.ok(
            Math.abs(loss - other) <= TOLERANCE * loss,
            `step ${step + 1}: ${loss}, ${other}`,
          );
        }
      }
    },
  );
}
