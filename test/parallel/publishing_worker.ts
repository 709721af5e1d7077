/** Publishes one tensor to worker 1 and ends. */
import { workerData } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs-core';
import { registerNative } from '../../src/backend/native/native.js';
import { PeerMemoryTransport } from '../../src/parallel/peer_memory.js';
import type { PeerConnections } from '../../src/parallel/peer_memory.js';
import type { ExchangeMemory, Slot } from '../../src/parallel/slots.js';

const { memory, connections, slot, values } = workerData as {
  memory: ExchangeMemory;
  connections: PeerConnections;
  slot: Slot;
  values: number[];
};
registerNative(1);
await tf.setBackend('native');
new PeerMemoryTransport(memory, connections).publish(slot, tf.tensor1d(values));
