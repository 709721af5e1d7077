/** CIFAR-10 records of random bytes, for tests. */
import { RandomSequence, deriveKey } from '../../src/random.js';

export const RECORD = 3073;

/** uint8 [labels.length, 3073] with the given labels and random pixels. */
export function randomRecords(name: string, labels: number[]): Uint8Array {
  const random = new RandomSequence(deriveKey(1, name));
  const records = Uint8Array.from({ length: labels.length * RECORD }, () => random.below(256));
  labels.forEach((label, index) => (records[index * RECORD] = label));
  return records;
}
