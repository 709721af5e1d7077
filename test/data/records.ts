/** CIFAR-10 records of random bytes, for tests. */
import type { Cifar10Set } from '../../src/data/cifar10.js';
import type { Dataset } from '../../src/data/examples.js';
import { RandomSequence, deriveKey } from '../../src/random.js';

export const RECORD = 3073;

/** uint8 [labels.length, 3073] with the given labels and random pixels. */
export function randomRecords(name: string, labels: number[]): Uint8Array {
  const random = new RandomSequence(deriveKey(1, name));
  const records = Uint8Array.from({ length: labels.length * RECORD }, () => random.below(256));
  labels.forEach((label, index) => (records[index * RECORD] = label));
  return records;
}

/** A CIFAR-10 data set in memory whose labels are the examples' indices (below 256). */
export function recordsDataset(train: number, test: number): Dataset {
  const set = (name: string, count: number): Cifar10Set => {
    const records = new SharedArrayBuffer(count * RECORD);
    new Uint8Array(records).set(randomRecords(name, [...Array(count).keys()]));
    return { kind: 'cifar10', count, records };
  };
  return { classes: [], train: set('train', train), test: set('test', test) };
}
