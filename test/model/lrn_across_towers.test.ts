import assert from 'node:assert/strict';
import { test } from 'node:test';
import { availableBackend, prepareProcess } from '../../src/backend/backend.js';
import type { LayerSpecification } from '../../src/model/layers.js';
import { Coordinator } from '../../src/parallel/coordinator.js';
import {
  BATCH,
  cpuPlacement,
  SEED,
  smallConfiguration,
  steps as stepsOf,
} from '../parallel/two_placements.js';

prepareProcess();

/** Float32 sums in another order, as in the coordinator's tests of split against grouped. */
const TOLERANCE = 1e-5;

/** The losses of two steps of a network whose layers all read all towers' channels. */
async function losses(ranks: number[][], lrnReads: 'own' | 'all'): Promise<number[]> {
  const towers = ranks.flat().length;
  const configuration = smallConfiguration(SEED, towers);
  // Dropout's masks are drawn per rank: they would differ between numbers of towers.
  const layers = configuration.network.layers
    .filter(({ type }) => type !== 'dropout')
    .map((layer): LayerSpecification => {
      // Enough for the neighbours to matter.
      if (layer.type === 'lrn') return { ...layer, k: 0.5, alpha: 0.5, reads: lrnReads };
      return 'reads' in layer ? { ...layer, reads: 'all' } : layer;
    });
  const coordinator = await Coordinator.open({
    configuration: { ...configuration, network: { ...configuration.network, layers } },
    ...{ towers, placement: cpuPlacement(ranks), batch: BATCH },
    ...availableBackend(),
  });
  try {
    return (await stepsOf(coordinator, 2)).map(({ loss }) => loss);
  } finally {
    await coordinator.close();
  }
}

const largestDifference = (one: number[], other: number[]): number =>
  Math.max(...one.map((loss, step) => Math.abs(loss - other[step]!) / loss));

const [dense, split, ownDense, ownGrouped] = await Promise.all([
  losses([[0]], 'all'),
  losses([[0], [1, 2], [3]], 'all'),
  losses([[0]], 'own'),
  losses([[0, 1]], 'own'),
]);

test('LRN that reads all towers trains four towers on three workers as one tower', () => {
  const difference = largestDifference(dense, split);
  assert.ok(difference < TOLERANCE, `${difference}`);
});

test('LRN that reads its own tower is another network in two towers than in one', () => {
  assert.deepEqual(ownDense, dense);
  const difference = largestDifference(ownDense, ownGrouped);
  assert.ok(difference > 3 * TOLERANCE, `${difference}`);
});
