/**
 * The thread of `data prepare`, started by `prepareDataset` (src/data/prepare.ts) in a Piscina pool with
 * a counter of images as its worker data. Answers what was packed, or the message of a failure that a
 * person can mend: an error's class would not survive the way between threads.
 */
import { workerData } from 'node:worker_threads';
import { type PackTask, type PackedShard, packShard } from '../src/data/packing.js';
import { UserError } from '../src/errors.js';

const counter = new Int32Array(workerData as SharedArrayBuffer);

export default async function prepare(task: PackTask): Promise<PackedShard | string> {
  try {
    return await packShard(task, () => Atomics.add(counter, 0, 1));
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}
