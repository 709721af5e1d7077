/**
 * The decoder thread, started by `BatchRing` (src/data/batches.ts) in a Piscina pool with
 * `DecoderSettings` as its worker data. Answers the examples that
 * could not be decoded, or the message of a failure that a person can
 * mend: an error's class would not survive the way between threads.
 */
import { workerData } from 'node:worker_threads';
import {
  type DecodeTask,
  Decoder,
  type DecoderSettings,
  type Undecodable,
} from '../src/data/decoder.js';
import { UserError } from '../src/errors.js';

const decoder = new Decoder(workerData as DecoderSettings);

export default async function decode(task: DecodeTask): Promise<Undecodable[] | string> {
  try {
    return await decoder.decode(task);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}
