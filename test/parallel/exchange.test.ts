import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { buildNetwork } from '../../src/model/network.js';
import { ActivityView } from '../../src/parallel/activity.js';
import { SlotCopyTransport, allocateSlotCopies } from '../../src/parallel/slot_copies.js';
import { Exchange, ExchangeAborted } from '../../src/parallel/exchange.js';
import { abortExchange, allocateExchangeMemory } from '../../src/parallel/slots.js';
import type { ExchangeMemory } from '../../src/parallel/slots.js';
import { BATCH, CLASSES, smallConfiguration } from './two_placements.js';

const WORKERS = [[0], [1]];

before(async () => {
  await tf.setBackend('cpu');
});

function memoryForTwo(): ExchangeMemory {
  const network = buildNetwork(smallConfiguration(1, 2).network, 2, CLASSES);
  return allocateExchangeMemory(network, WORKERS, BATCH);
}

/** The two workers' ends, in a round of their own. */
function ends(): { memory: ExchangeMemory; zero: Exchange; one: Exchange } {
  const memory = memoryForTwo();
  const copies = allocateSlotCopies(memory);
  const end = (worker: number): Exchange =>
    new Exchange(memory, new SlotCopyTransport(copies), worker, WORKERS);
  const [zero, one] = [end(0), end(1)];
  for (const exchange of [zero, one]) exchange.begin(1);
  return { memory, zero, one };
}

test('what one rank publishes the other reads', () => {
  const { zero, one } = ends();
  zero.publish(tf.tensor1d([1.5, -2.5, 3.5]), 'conv3', 'forward', 0);
  assert.deepEqual([...one.read([3], 'conv3', 'forward', 0).dataSync()], [1.5, -2.5, 3.5]);
});

test('gradients for different ranks do not meet in one slot', () => {
  const { zero, one } = ends();
  zero.publish(tf.tensor1d([1]), 'conv3', 'backward', 0, 1);
  one.publish(tf.tensor1d([2]), 'conv3', 'backward', 1, 0);
  assert.deepEqual([...one.read([1], 'conv3', 'backward', 0, 1).dataSync()], [1]);
  assert.deepEqual([...zero.read([1], 'conv3', 'backward', 1, 0).dataSync()], [2]);
});

test('a value of the round before is not taken for this round’s', () => {
  const { memory, zero, one } = ends();
  zero.publish(tf.tensor1d([1]), 'fc1', 'forward', 0);
  one.begin(2);
  // Instead of waiting for what will not come.
  abortExchange(memory);
  assert.throws(() => one.read([1], 'fc1', 'forward', 0), ExchangeAborted);
});

test('a reader sees the slot itself, without a copy of its own', () => {
  const { zero, one } = ends();
  zero.publish(tf.tensor1d([1]), 'fc1', 'forward', 0);
  const view = one.read([1], 'fc1', 'forward', 0);
  zero.publish(tf.tensor1d([9]), 'fc1', 'forward', 0);
  assert.equal(view.dataSync()[0], 9);
});

test('a wait says in shared memory which rank it is for, and where', () => {
  const { memory, one } = ends();
  abortExchange(memory);
  assert.throws(() => one.read([1], 'conv3', 'backward', 0, 1));
  const view = new ActivityView(memory.activity);
  assert.equal(view.describe(1), 'waiting for worker 0 at conv3 (backward)');
  assert.equal(view.isWaiting(1), true);
  assert.equal(view.isWaiting(0), false);
});

test('a wait after an abort ends at once', () => {
  const { memory, one } = ends();
  abortExchange(memory);
  assert.throws(() => one.read([1], 'conv3', 'forward', 0), ExchangeAborted);
});

test('an abort wakes a thread that waits already', async () => {
  const memory = memoryForTwo();
  const control = new Int32Array(memory.control);
  const worker = new Worker(new URL('./waiting_worker.js', import.meta.url), {
    workerData: { memory, workers: WORKERS },
  });
  const error = new Promise<string>((resolve) => worker.once('message', resolve));
  await new Promise((resolve) => worker.once('online', resolve));
  assert.ok(control.length > 1);
  abortExchange(memory);
  assert.equal(await error, 'ExchangeAborted');
});

test('bytes are counted on the worker that reads them', () => {
  const { zero, one } = ends();
  zero.publish(tf.fill([5], 2), 'fc1', 'forward', 0);
  one.read([5], 'fc1', 'forward', 0);
  assert.equal(zero.bytes, 0);
  assert.equal(one.bytes, 20);
});

/** Milliseconds of computing that no clock can miss. */
function busyFor(milliseconds: number): void {
  const start = performance.now();
  while (performance.now() - start < milliseconds);
}

test('the time of putting together what was gathered is copying, not waiting', () => {
  const { zero, one } = ends();
  zero.publish(tf.fill([5], 2), 'fc1', 'forward', 0);
  one.allGather(
    'fc1',
    [tf.fill([5], 3)],
    () => [5],
    (blocks) => {
      busyFor(50);
      return tf.concat(blocks);
    },
  );
  const { copyMs, waitMs } = one.cost.spent();
  assert.ok(copyMs >= 50, `${copyMs} ms`);
  assert.ok(waitMs < 50, `${waitMs} ms`);
});

test('the time of making a term for another rank is copying', () => {
  const { zero, one } = ends();
  zero.publish(tf.fill([5], 2), 'fc1', 'backward', 0, 1);
  one.reduceScatter('fc1', {
    shape: [5],
    termFor: () => {
      busyFor(50);
      return tf.fill([5], 3);
    },
    combine: (_rank, terms) => terms[0]!,
  });
  assert.ok(one.cost.spent().copyMs >= 50);
});

test('one worker alone needs no slots', () => {
  const network = buildNetwork(smallConfiguration(1, 2).network, 2, CLASSES);
  assert.deepEqual(allocateExchangeMemory(network, [[0, 1]], BATCH).slots, {});
});
