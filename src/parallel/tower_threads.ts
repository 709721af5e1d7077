/**
 * The tower workers' threads, one per placement entry. They carry each of the coordinator's commands to all workers,
 * bring the replies back, and notice a worker that throws, ends or hangs.
 *
 * The first failure ends every other worker's waiting at once. From then on each command throws the same error,
 * because what the workers held is lost or half done.
 */
import { Piscina } from 'piscina';
import { noteLastingThread } from '../backend/process_end.js';
import { messageOf } from '../errors.js';
import { ActivityView } from './activity.js';
import { decodeReply, encodeCommand, transferListOf } from './messages.js';
import type { Command, Replies, SharedBuffers } from './messages.js';
import type { Placement } from './placement.js';
import { abortExchange } from './slots.js';
import type { ExchangeMemory } from './slots.js';
import { settlesWithin, unlessAborted, unlessStalled } from './watchdog.js';
import { WorkerFailure } from './worker_failure.js';

/** Default time without progress of any worker after which one is taken to hang, milliseconds. */
const EXCHANGE_TIMEOUT_MS = 5 * 60 * 1000;

/** The least such time when a kind of command is sent for the first time: libraries load and kernels are chosen. */
const FIRST_TIMEOUT_MS = 10 * 60 * 1000;

/** Time that the other workers have after a failure to notice that they need not wait, milliseconds. */
const STOPPING_MS = 1000;

/** Time that threads have to end, milliseconds. A thread cannot be ended while it computes in native code. */
const CLOSING_MS = 10_000;

/** The same after the caller has asked to stop. */
const CLOSING_AFTER_STOP_MS = 1000;

/** What Piscina and Node say of a thread that did not throw but end; their stacks show nothing. */
const ENDED = /^worker exited with code|^Worker terminated due to reaching memory limit/i;

export class TowerThreads {
  /** What the commands are for, in the words of a failure's message: `at step 7`. */
  doing = 'while starting';

  private readonly pools: Piscina[];
  private readonly activity: ActivityView;
  /** The kinds of command that all workers have carried out. */
  private readonly met = new Set<Command['kind']>();
  /** The first failure. */
  private failure: unknown;
  private isStopped = false;

  /**
   * Starts the threads; their first command must be `open`.
   *
   * @param lost aborted if a process on another host is lost
   */
  constructor(
    private readonly placement: Placement,
    private readonly exchange: ExchangeMemory,
    private readonly lost: AbortSignal,
    private readonly exchangeTimeoutMs = EXCHANGE_TIMEOUT_MS,
  ) {
    this.pools = placement.map(() => startThread());
    this.activity = new ActivityView(exchange.activity);
  }

  /**
   * Sends each worker its command.
   *
   * @param signal gives the command up when it is aborted; the threads are of no more use then
   * @returns the replies, once all are there
   * @throws WorkerFailure the first, once the other workers have stopped; the reason of `signal` or `lost` at once
   */
  async all<Kind extends Command['kind']>(
    kind: Kind,
    commandOf: (worker: number) => Extract<Command, { kind: Kind }>,
    buffersOf: (worker: number) => SharedBuffers = () => ({}),
    signal?: AbortSignal,
  ): Promise<Replies[Kind][]> {
    if (this.failure !== undefined) throw this.failure as Error;
    const busy = new Set(this.pools.keys());
    const answers = this.pools.map(async (pool, worker) => {
      try {
        const buffers = buffersOf(worker);
        const message = encodeCommand(commandOf(worker), buffers);
        const transferList = transferListOf(buffers);
        const bytes = (await pool.run(message, { transferList })) as Uint8Array;
        return decodeReply<Kind>(bytes);
      } catch (error) {
        throw this.failureOf(worker, error);
      } finally {
        busy.delete(worker);
      }
    });
    const timeoutMs = this.met.has(kind)
      ? this.exchangeTimeoutMs
      : Math.max(this.exchangeTimeoutMs, FIRST_TIMEOUT_MS);
    // A worker that waits for another host is not to blame: that host is the first to say what is the matter.
    const limitMs = (): number =>
      [...busy].some((worker) => this.activity.waitsForHosts(worker)) ? 2 * timeoutMs : timeoutMs;
    const unlessStopped = unlessAborted(unlessAborted(Promise.all(answers), signal), this.lost);
    try {
      const replies = await unlessStalled(unlessStopped, this.activity, limitMs, () =>
        this.stallOf([...busy], limitMs()),
      );
      this.met.add(kind);
      return replies;
    } catch (error) {
      this.failure = error;
      this.isStopped = signal?.aborted === true || this.lost.aborted;
      abortExchange(this.exchange);
      if (!this.isStopped) await settlesWithin(Promise.allSettled(answers), STOPPING_MS);
      throw error;
    }
  }

  get haveFailed(): boolean {
    return this.failure !== undefined;
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    abortExchange(this.exchange);
    const ended = Promise.all(this.pools.map((pool) => pool.destroy()));
    const closingMs = this.isStopped ? CLOSING_AFTER_STOP_MS : CLOSING_MS;
    if (!(await settlesWithin(ended, closingMs))) noteLastingThread();
  }

  private failureOf(worker: number, error: unknown): WorkerFailure {
    const threw = error instanceof Error && !ENDED.test(error.message);
    const defect = threw ? error.stack : undefined;
    return new WorkerFailure(
      `${this.nameOf(worker)} failed ${this.whereabouts(worker)}: ${messageOf(error)}`,
      defect,
      { cause: error },
    );
  }

  /** Blames, of the workers that have not answered, one that does not wait for another itself. */
  private stallOf(busy: number[], limitMs: number): WorkerFailure {
    const worker = busy.find((candidate) => !this.activity.isWaiting(candidate)) ?? busy[0]!;
    return new WorkerFailure(
      `${this.nameOf(worker)} has made no progress for ${limitMs / 1000} s ${this.whereabouts(worker)}: ` +
        'it hangs or is slow; if slow, raise --exchange-timeout',
      undefined,
    );
  }

  private nameOf(worker: number): string {
    const { ranks, device } = this.placement[worker]!;
    return `rank ${ranks.join(',')} on ${device}`;
  }

  /** E.g. `at step 7, in the forward pass of conv3`. */
  private whereabouts(worker: number): string {
    return `${this.doing}, ${this.activity.describe(worker)}`;
  }
}

/** Each pool has exactly one thread, which keeps a placement entry's state and device together. */
function startThread(): Piscina {
  return new Piscina({
    filename: new URL('../../workers/tower.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Infinity,
    // Between commands the thread's event loop must run, so that tensors can be freed.
    atomics: 'disabled',
    // A step's garbage outlives V8's short collections, and without a limit 100 MB of it gather before the first
    // long one. About 35 MB of this heap are live; tensors are elsewhere.
    resourceLimits: { maxOldGenerationSizeMb: 160 },
  });
}
