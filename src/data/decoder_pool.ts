/**
 * The decoder threads: decodes whole batches into shared memory and notices a decoder that hangs.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { noteLastingThread } from '../backend/process_end.js';
import { UserError } from '../errors.js';
import type { TraceTracks } from '../report/trace.js';
import { unlessAborted } from './abortable.js';
import { nameOfExample } from './examples.js';
import type { DecodeReply, DecodeTask, DecoderSettings, Undecodable } from './decoder.js';
import { type BusyDecoder, allocateDecoderActivity, busyDecoders } from './decoder_activity.js';

/** The time limit of the exchange between towers, too. */
const STALL_TIMEOUT_MS = 5 * 60 * 1000;

/** How many times within the limit a waiting consumer looks at the decoders. */
const LOOKS = 10;

/** How long threads may take to end. One that hangs in a file system cannot be ended. */
const CLOSING_MS = 1000;

/** A batch of one pass, as `DecoderPool.decode` divides it among the threads. */
export type BatchTask = Omit<DecodeTask, 'first'>;

export interface DecoderPoolOptions {
  settings: Omit<DecoderSettings, 'activity'>;
  /** Threads. */
  decoders: number;
  /** Milliseconds that one image may take (default 5 minutes). */
  stallTimeoutMs?: number | undefined;
  /** Gets a track per decoder. */
  trace?: TraceTracks | undefined;
}

export class DecoderPool {
  private readonly pool: Piscina<DecodeTask, DecodeReply>;
  private readonly activity: SharedArrayBuffer;
  private readonly stallTimeoutMs: number;

  constructor(private readonly options: DecoderPoolOptions) {
    const { settings, decoders, stallTimeoutMs = STALL_TIMEOUT_MS } = options;
    this.stallTimeoutMs = stallTimeoutMs;
    this.activity = allocateDecoderActivity(decoders);
    const workerData: DecoderSettings = { ...settings, activity: this.activity };
    this.pool = new Piscina({
      filename: new URL('../../workers/decode.js', import.meta.url).href,
      minThreads: decoders,
      maxThreads: decoders,
      workerData,
    });
  }

  /**
   * Decodes one batch, an equal share in each thread. No thread writes to its buffers any more when the promise
   * settles.
   *
   * @param index the batch's number, for the trace
   * @throws UserError the first failure that the user can fix
   */
  async decode(task: BatchTask, index: number): Promise<Undecodable[]> {
    const { views, ...rest } = task;
    const share = Math.ceil(views.length / this.options.decoders);
    const replies: Promise<DecodeReply>[] = [];
    for (let first = 0; first < views.length; first += share) {
      const own = views.slice(first, first + share);
      replies.push(this.pool.run({ ...rest, first, views: own }));
    }
    const undecodable: Undecodable[] = [];
    for (const reply of await Promise.allSettled(replies)) {
      if (reply.status === 'rejected') throw reply.reason;
      const { value } = reply;
      const track = `decoder ${value.decoder}`;
      const { began, ended } = value;
      this.options.trace?.span(track, `decode batch ${index}`, 'decode', began, ended);
      if (value.failure !== null) throw new UserError(value.failure);
      undecodable.push(...value.undecodable);
    }
    return undecodable;
  }

  /**
   * Waits for `work`, which the decoders do.
   *
   * @param patience ends the wait at once, with its reason as the error
   * @throws UserError if a decoder works on one image for longer than the limit, naming both
   */
  async wait<Result>(work: Promise<Result>, patience?: AbortSignal): Promise<Result> {
    let looking: NodeJS.Timeout | undefined;
    const stalled = new Promise<never>((_, reject) => {
      const looks = new Map<number, { begun: number; times: number }>();
      looking = setInterval(() => {
        const busy = busyDecoders(this.activity).find((decoder) => isAtItsEnd(looks, decoder));
        if (busy !== undefined) reject(this.stall(busy));
      }, this.stallTimeoutMs / LOOKS);
    });
    try {
      return await unlessAborted(Promise.race([work, stalled]), patience);
    } finally {
      clearInterval(looking);
    }
  }

  private stall({ decoder, split, index }: BusyDecoder): UserError {
    const name = nameOfExample(this.options.settings.dataset[split], index);
    const seconds = this.stallTimeoutMs / 1000;
    return new UserError(
      `decoder ${decoder} has worked on ${name} for ${seconds} s: check that its drive responds, or remove the image`,
    );
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    // Replies to tasks that nobody waits for any more are errors to Piscina.
    this.pool.on('error', () => {});
    const ended = this.pool.destroy().then(() => true);
    const hasEnded = await Promise.race([ended, delay(CLOSING_MS, false, { ref: false })]);
    if (!hasEnded) noteLastingThread();
  }
}

/**
 * Counts the looks that found a decoder at the same image. Looks are counted instead of time, so that a process
 * that was stopped for a while does not take its decoders to hang when it continues.
 */
function isAtItsEnd(
  looks: Map<number, { begun: number; times: number }>,
  { decoder, begun }: BusyDecoder,
): boolean {
  const before = looks.get(decoder);
  const times = before?.begun === begun ? before.times + 1 : 1;
  looks.set(decoder, { begun, times });
  return times > LOOKS;
}
