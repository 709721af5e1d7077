import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { nativeIsPrepared } from '../../../src/backend/native/addon.js';
import type { Conv2DInfo } from '../../../src/backend/native/geometry.js';
import { RandomSequence, deriveKey } from '../../../src/random.js';
import { randomWindow } from './references.js';

const skip = nativeIsPrepared() ? false : 'the native addon is not built here';
const random = new RandomSequence(deriveKey(7, 'threads'));

async function convolve(
  window: Conv2DInfo,
  threads: number,
  rounds = 200,
): Promise<{ error: number; threads: number }> {
  const worker = new Worker(new URL('./addon_worker.js', import.meta.url), {
    workerData: { window, threads, rounds },
  });
  const [answer] = (await once(worker, 'message')) as [{ error: number; threads: number }];
  await worker.terminate();
  return answer;
}

for (const threads of [1, 2]) {
  test(`two workers at once, ${threads} threads each`, { skip }, async () => {
    const answers = await Promise.all([
      convolve(randomWindow(random), threads),
      convolve(randomWindow(random), threads),
    ]);
    for (const { error } of answers) assert.ok(error < 1e-5, String(error));
  });

  test(
    `a team of ${threads}, set before the first kernel, is of that size after it`,
    { skip },
    async () => {
      assert.equal((await convolve(randomWindow(random), threads)).threads, threads);
    },
  );
}

test('more threads than a byte counts have primitives of their own', { skip }, async () => {
  const window = randomWindow(random);
  const { error, threads } = await convolve(window, 300, 1);
  assert.equal(threads, 300);
  assert.ok(error < 1e-5, String(error));
});

test('workers come and go', { skip }, async () => {
  for (let round = 0; round < 3; round++) {
    assert.ok((await convolve(randomWindow(random), 2)).error < 1e-5);
  }
});
