import assert from 'node:assert/strict';
import { test } from 'node:test';
import { availableBackend, prepareProcess } from '../../src/backend/backend.js';
import { Coordinator } from '../../src/parallel/coordinator.js';
import { BATCH, SEED, cpuPlacement, smallConfiguration } from './two_placements.js';

prepareProcess();

test('a layer of 12 million weights is stored in a worker whose heap would not hold their names', async () => {
  const small = smallConfiguration(SEED, 1);
  const recipe = { weight: { initialization: { normal: 0.01 } }, bias: { initialization: 0 } };
  const wide = { type: 'fc', name: 'wide', units: 4096, reads: 'all', ...recipe } as const;
  const last = { type: 'fc', name: 'last', units: 'classes', reads: 'all', ...recipe } as const;
  const coordinator = await Coordinator.open({
    configuration: { ...small, network: { ...small.network, layers: [wide, last] } },
    towers: 1,
    placement: cpuPlacement([[0]]),
    backend: availableBackend().backend,
    batch: BATCH,
  });
  try {
    const { parameters } = await coordinator.store();
    const weights = new Float32Array(parameters['wide.weight']!);
    assert.equal(weights.length, 4096 * 31 * 31 * 3);
    const mean = weights.reduce((sum, value) => sum + value ** 2, 0) / weights.length;
    // Of so many draws the mean of squares is 1e-4 to within 1e-3 of itself, three times over.
    assert.ok(Math.abs(mean / 1e-4 - 1) < 3e-3, `${mean}`);
  } finally {
    await coordinator.close();
  }
});
