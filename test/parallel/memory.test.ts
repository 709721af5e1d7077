/** In a file, so a process, of its own: other tests' memory is not this one's. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import type { Coordinator } from '../../src/parallel/coordinator.js';
import { steps, withCoordinator } from './two_placements.js';

/** By then the workers' JavaScript heaps have grown to where V8 keeps them: 250 to 305 MB in all. */
const WARM_UP_STEPS = 2500;
/** Between two looks at the resident memory, which rises and falls as V8 collects. */
const STEPS_A_LOOK = 100;

const entriesOf = (folder: string): number => (existsSync(folder) ? readdirSync(folder).length : 0);

async function held(coordinator: Coordinator): Promise<object> {
  return {
    workers: await coordinator.memory(),
    openFiles: entriesOf('/proc/self/fd'),
    threads: entriesOf('/proc/self/task'),
  };
}

/** @returns bytes of resident memory, each time after `STEPS_A_LOOK` steps */
async function looks(coordinator: Coordinator, count: number): Promise<number[]> {
  const seen: number[] = [];
  while (seen.length < count) {
    await steps(coordinator, STEPS_A_LOOK);
    seen.push(process.memoryUsage.rss());
  }
  return seen;
}

test('over 1,000 steps tensors, pools, files and threads stay, and memory within 5 %', async () => {
  await withCoordinator([[0], [1]], async (coordinator) => {
    await steps(coordinator, WARM_UP_STEPS);
    const highest = Math.max(...(await looks(coordinator, 3)));
    const before = await held(coordinator);
    await steps(coordinator, 700);
    const lowest = Math.min(...(await looks(coordinator, 3)));
    assert.deepEqual(await held(coordinator), before);
    assert.ok(lowest <= 1.05 * highest, `${highest} bytes grew to ${lowest}`);
  });
});
