import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { nativeIsPrepared, type Conv2DInfo } from '../../../src/backend/native/addon.js';
import { RandomSequence, deriveKey } from '../../../src/random.js';
import { randomWindow } from './references.js';

const skip = nativeIsPrepared() ? false : 'the native addon is not built here';
const random = new RandomSequence(deriveKey(7, 'threads'));

async function convolve(
  window: Conv2DInfo,
  threads: number,
): Promise<{ error: number; threads: number }> {
  const worker = new Worker(new URL('./addon_worker.js', import.meta.url), {
    workerData: { window, threads, rounds: 200 },
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

test('workers come and go', { skip }, async () => {
  for (let round = 0; round < 3; round++) {
    assert.ok((await convolve(randomWindow(random), 2)).error < 1e-5);
  }
});
