/**
 * The entry of a thread of `data prepare`. Its worker data is a counter of images, int32 in shared memory.
 *
 * The reply is what was packed, or the message of a failure that the user can fix, because errors lose their
 * class between threads.
 */
import { workerData } from 'node:worker_threads';
import { type PackTask, type PackedShard, packShard } from '../src/data/packing.js';
import { UserError } from '../src/errors.js';

const counter = new Int32Array(workerData as SharedArrayBuffer);

export default async function pack(task: PackTask): Promise<PackedShard | string> {
  try {
    return await packShard(task, () => Atomics.add(counter, 0, 1));
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}
