/** In a file, so a process, of its own: other tests' memory is not this one's. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import type { Coordinator } from '../../src/parallel/coordinator.js';
import { steps, withCoordinator } from './two_placements.js';

/** By then the workers' JavaScript heaps have grown to where V8 keeps them: 250 to 305 MB in all. */
const WARM_UP_STEPS = 1300;

const entriesOf = (folder: string): number => (existsSync(folder) ? readdirSync(folder).length : 0);

async function held(coordinator: Coordinator): Promise<object> {
  return {
    workers: await coordinator.memory(),
    openFiles: entriesOf('/proc/self/fd'),
    threads: entriesOf('/proc/self/task'),
  };
}

test('over 1,000 steps tensors, pools, files and threads stay, and memory within 5 %', async () => {
  await withCoordinator([[0], [1]], async (coordinator) => {
    await steps(coordinator, WARM_UP_STEPS);
    const before = await held(coordinator);
    const residentBefore = process.memoryUsage.rss();
    await steps(coordinator, 1000);
    assert.deepEqual(await held(coordinator), before);
    const resident = process.memoryUsage.rss();
    assert.ok(resident <= 1.05 * residentBefore, `${residentBefore} bytes grew to ${resident}`);
  });
});
