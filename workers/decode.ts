/**
 * The decoder thread, started by `BatchRing` (src/data/batches.ts) in a Piscina pool with
 * `DecoderSettings` as its worker data. A failure that a person can mend is part of the reply: an error's
 * class would not survive the way between threads.
 */
import { threadId, workerData } from 'node:worker_threads';
import { microseconds } from '../src/clock.js';
import { Decoder } from '../src/data/decoder.js';
import type { DecodeReply, DecodeTask, DecoderSettings, Undecodable } from '../src/data/decoder.js';
import { UserError } from '../src/errors.js';

const decoder = new Decoder(workerData as DecoderSettings);

export default async function decode(task: DecodeTask): Promise<DecodeReply> {
  const began = microseconds();
  const reply = (failure: string | null, undecodable: Undecodable[]): DecodeReply => ({
    failure,
    undecodable,
    thread: threadId,
    began,
    ended: microseconds(),
  });
  try {
    return reply(null, await decoder.decode(task));
  } catch (error) {
    if (error instanceof UserError) return reply(error.message, []);
    throw error;
  }
}
