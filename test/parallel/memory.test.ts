/** In a file, so a process, of its own: other tests' memory is not this one's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prepareProcess } from '../../src/backend/backend.js';
import { steps, withCoordinator } from './two_placements.js';

prepareProcess();

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
