import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { nativeIsPrepared, type Conv2DInfo } from '../../../src/backend/native/addon.js';
import { RandomSequence, deriveKey } from '../../../src/random.js';
import { randomWindow } from './references.js';

const skip = nativeIsPrepared() ? false : 'the native addon is not built here';
const random = new RandomSequence(deriveKey(7, 'threads'));

async function greatestError(window: Conv2DInfo, threads: number): Promise<number> {
  const worker = new Worker(new URL('./addon_worker.js', import.meta.url), {
    workerData: { window, threads, rounds: 200 },
  });
  const [error] = (await once(worker, 'message')) as [number];
  await worker.terminate();
  return error;
}

for (const threads of [1, 2]) {
  test(`two workers at once, ${threads} threads each`, { skip }, async () => {
    const errors = await Promise.all([
      greatestError(randomWindow(random), threads),
      greatestError(randomWindow(random), threads),
    ]);
    assert.ok(Math.max(...errors) < 1e-5, errors.join(' '));
  });
}

test('workers come and go', { skip }, async () => {
  for (let round = 0; round < 3; round++) {
    assert.ok((await greatestError(randomWindow(random), 2)) < 1e-5);
  }
});
