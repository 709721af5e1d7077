import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, suite, test } from 'node:test';
import { Worker, receiveMessageOnPort } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs-core';
import { nativeIsPrepared } from '../../src/backend/native/addon.js';
import { registerNative } from '../../src/backend/native/native.js';
import type { CpuBackend } from '../../src/backend/native/cpu_backend.js';
import { buildNetwork } from '../../src/model/network.js';
import { PeerMemoryTransport, connectPeers } from '../../src/parallel/peer_memory.js';
import { allocateExchangeMemory } from '../../src/parallel/slots.js';
import type { ExchangeMemory, Slot } from '../../src/parallel/slots.js';
import { BATCH, CLASSES, smallConfiguration } from './two_placements.js';

const skip = nativeIsPrepared() ? false : 'the native addon is not built here';
const network = buildNetwork(smallConfiguration(1, 2).network, 2, CLASSES);

function memoryForTwo(): { memory: ExchangeMemory; slot: Slot } {
  const memory = allocateExchangeMemory(network, [[0], [1]], BATCH);
  return { memory, slot: memory.slots['conv3 forward 0']! };
}

/** Both workers' ends in this thread. */
function ends(): { zero: PeerMemoryTransport; one: PeerMemoryTransport; slot: Slot } {
  const { memory, slot } = memoryForTwo();
  const [zero, one] = connectPeers(memory, 2).map(
    (connections) => new PeerMemoryTransport(memory, connections),
  ) as [PeerMemoryTransport, PeerMemoryTransport];
  return { zero, one, slot };
}

/** A tensor of the backend's own memory, as every kernel's output. */
const computed = (values: number[]): tf.Tensor1D => tf.neg(tf.tensor1d(values));

const memoryOf = (tensor: tf.Tensor): ArrayBufferLike =>
  (tf.backend() as CpuBackend).float32(tensor)!.buffer;

suite('reading a tensor of another worker', { skip }, () => {
  before(async () => {
    registerNative(1);
    await tf.setBackend('native');
  });

  test('gives the publisher’s own memory, not a copy', () => {
    const { zero, one, slot } = ends();
    const tensor = computed([1, 2, 3]);
    zero.publish(slot, tensor);
    const read = one.read(slot, [3]).dataSync();
    assert.deepEqual([...read], [-1, -2, -3]);
    (tf.backend() as CpuBackend).float32(tensor)![1] = 7;
    assert.deepEqual([...read], [-1, 7, -3]);
  });

  test('gives the part that a slice is of a larger tensor', () => {
    const { zero, one, slot } = ends();
    zero.publish(slot, tf.slice(computed([1, 2, 3, 4]), 2, 2));
    assert.deepEqual([...one.read(slot, [2]).dataSync()], [-3, -4]);
  });

  test('gives what the user’s own array holds', () => {
    const { zero, one, slot } = ends();
    zero.publish(slot, tf.tensor1d(Float32Array.of(5, 6)));
    assert.deepEqual([...one.read(slot, [2]).dataSync()], [5, 6]);
  });

  test('stays possible in the round after its tensor was disposed: the memory is given to no other', () => {
    const { zero, one, slot } = ends();
    const tensor = computed([1, 2, 3]);
    const lying = memoryOf(tensor);
    zero.publish(slot, tensor);
    tensor.dispose();
    const others = Array.from({ length: 8 }, () => computed([4, 5, 6]));
    assert.ok(others.every((other) => memoryOf(other) !== lying));
    assert.deepEqual([...one.read(slot, [3]).dataSync()], [-1, -2, -3]);
  });

  test('ends with the round: the memory is used again in the next', () => {
    const { zero, slot } = ends();
    const tensor = computed([1, 2, 3]);
    const lying = memoryOf(tensor);
    zero.publish(slot, tensor);
    tensor.dispose();
    zero.begin();
    assert.equal(memoryOf(computed([4, 5, 6])), lying);
  });

  test('leaves no tensor behind', () => {
    const { zero, slot } = ends();
    const tensor = computed([1, 2, 3]);
    const { numTensors } = tf.memory();
    zero.publish(slot, tensor);
    zero.begin();
    assert.equal(tf.memory().numTensors, numTensors);
  });

  test('sends a buffer to the reader once, however often it is published', () => {
    const { memory, slot } = memoryForTwo();
    const [own, other] = connectPeers(memory, 2);
    const zero = new PeerMemoryTransport(memory, own!);
    const tensor = computed([1, 2, 3]);
    zero.publish(slot, tensor);
    zero.publish(slot, tensor);
    const port = other!.ports[0]!;
    assert.ok(receiveMessageOnPort(port) !== undefined);
    assert.equal(receiveMessageOnPort(port), undefined);
  });

  test('goes on when ever new buffers are published, and the oldest are let go', () => {
    const { memory, slot } = memoryForTwo();
    const [own, other] = connectPeers(memory, 2);
    const zero = new PeerMemoryTransport(memory, own!);
    const bound = 2 * Object.keys(memory.slots).length;
    // Different tensors of different sizes: no buffer is used twice.
    const tensors = Array.from({ length: bound + 3 }, (_, index) =>
      computed(new Array<number>(64 * (index + 1)).fill(index)),
    );
    for (const tensor of tensors) zero.publish(slot, tensor);
    const announced: { id: number; forgotten?: number }[] = [];
    for (;;) {
      const received = receiveMessageOnPort(other!.ports[0]!);
      if (received === undefined) break;
      announced.push(received.message as { id: number; forgotten?: number });
    }
    const forgotten = announced.flatMap(({ forgotten: id }) => (id === undefined ? [] : [id]));
    assert.deepEqual(
      forgotten,
      announced.slice(0, 3).map(({ id }) => id),
    );
  });

  test('is still possible when the publishing thread has ended', async () => {
    const { memory, slot } = memoryForTwo();
    const [own, other] = connectPeers(memory, 2);
    const values = [0.5, -1.5, 2.5];
    const worker = new Worker(new URL('./publishing_worker.js', import.meta.url), {
      workerData: { memory, connections: own, slot, values },
      transferList: own!.ports.filter((port) => port !== null),
    });
    await once(worker, 'exit');
    const one = new PeerMemoryTransport(memory, other!);
    assert.deepEqual([...one.read(slot, [3]).dataSync()], values);
  });
});
