/**
 * The entry of a decoder thread. Its worker data are `DecoderSettings`.
 *
 * User-fixable failures are returned in the reply, because errors lose their class between threads.
 */
import { workerData } from 'node:worker_threads';
import { microseconds } from '../src/clock.js';
import { Decoder } from '../src/data/decoder.js';
import type { DecodeReply, DecodeTask, DecoderSettings, Undecodable } from '../src/data/decoder.js';
import { DecoderActivity } from '../src/data/decoder_activity.js';
import { GpuJpegs } from '../src/data/gpu_jpegs.js';
import { UserError } from '../src/errors.js';

const settings = workerData as DecoderSettings;
const activity = new DecoderActivity(settings.activity);
const { jpegGpus, buffers } = settings;
const gpu = jpegGpus[activity.decoder % jpegGpus.length];
const jpegs =
  gpu === undefined
    ? undefined
    : new GpuJpegs(
        gpu,
        buffers.map(({ pixels }) => pixels),
      );
const decoder = new Decoder(settings, jpegs);

export default async function decode(task: DecodeTask): Promise<DecodeReply> {
  const began = microseconds();
  const reply = (failure: string | null, undecodable: Undecodable[]): DecodeReply => ({
    failure,
    undecodable,
    decoder: activity.decoder,
    began,
    ended: microseconds(),
  });
  try {
    return reply(null, await decoder.decode(task, (index) => activity.begin(task.split, index)));
  } catch (error) {
    if (error instanceof UserError) return reply(error.message, []);
    throw error;
  } finally {
    activity.end();
  }
}
