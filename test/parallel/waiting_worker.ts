/** Waits for a slot that nobody fills, and reports how the wait ended. */
import { parentPort, workerData } from 'node:worker_threads';
import { SlotCopyTransport } from '../../src/parallel/slot_copies.js';
import { Exchange } from '../../src/parallel/exchange.js';
import type { ExchangeMemory } from '../../src/parallel/slots.js';

const { memory, workers } = workerData as { memory: ExchangeMemory; workers: number[][] };
const exchange = new Exchange(memory, new SlotCopyTransport({}), 1, workers);
exchange.begin(1);
try {
  exchange.read([1], 'conv3', 'forward', 0);
} catch (error) {
  parentPort!.postMessage((error as Error).name);
}
