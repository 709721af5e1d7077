import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { unlessAborted } from '../../src/parallel/watchdog.js';

const never = new Promise<never>(() => {});

test('an aborted signal ends a wait with its reason', async () => {
  const controller = new AbortController();
  const waiting = unlessAborted(never, controller.signal);
  controller.abort(new Error('stop'));
  await assert.rejects(waiting, { message: 'stop' });
});

test('a signal that was aborted before ends a wait at once', async () => {
  const signal = AbortSignal.abort(new Error('stop'));
  await assert.rejects(unlessAborted(never, signal), { message: 'stop' });
});

test('a wait that has ended leaves no listener on its signal', async () => {
  const { signal } = new AbortController();
  assert.equal(await unlessAborted(Promise.resolve(7), signal), 7);
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
});
