/**
 * The tower workers' threads, one a placement entry: carries the coordinator's commands to all of them and
 * their replies back, and notices one that throws, ends or hangs.
 *
 * The first failure ends every other worker's waiting at once. The threads are of no more use then: what
 * they held is lost or half done, and each later command throws the same error.
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
import { settlesWithin, unlessStalled } from './watchdog.js';
import { WorkerFailure } from './worker_failure.js';

/** Milliseconds in which no worker moves on, after which one is taken to hang. */
const EXCHANGE_TIMEOUT_MS = 5 * 60 * 1000;

/** The least such time the first time that a command is given: libraries load and kernels are chosen. */
const FIRST_TIMEOUT_MS = 10 * 60 * 1000;

/** What the other workers have, after a failure, to notice that they need not wait. */
const STOPPING_MS = 1000;

/** What threads have to end: one that computes in native code cannot be ended before it returns from there. */
const CLOSING_MS = 10_000;

/** What Piscina and Node say of a thread that did not throw but end; their stacks show nothing. */
const ENDED = /^worker exited with code|^Worker terminated due to reaching memory limit/i;

export class TowerThreads {
  /** What the commands are for, as a failure's message says it: `at step 7`. */
  doing = 'while starting';

  private readonly pools: Piscina[];
  private readonly activity: ActivityView;
  /** The kinds of command that all workers have carried out. */
  private readonly met = new Set<Command['kind']>();
  /** The first; nothing more is done then. */
  private failure: unknown;

  /** Starts the threads; their first command must be `open`. */
  constructor(
    private readonly placement: Placement,
    private readonly exchange: ExchangeMemory,
    private readonly exchangeTimeoutMs = EXCHANGE_TIMEOUT_MS,
  ) {
    this.pools = placement.map(() => startThread());
    this.activity = new ActivityView(exchange.activity);
  }

  /**
   * Sends each worker its command.
   *
   * @returns the replies, when all are there
   * @throws WorkerFailure the first, when the other workers have stopped
   */
  async all<Kind extends Command['kind']>(
    kind: Kind,
    commandOf: (worker: number) => Extract<Command, { kind: Kind }>,
    buffersOf: (worker: number) => SharedBuffers = () => ({}),
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
    try {
      const replies = await unlessStalled(Promise.all(answers), this.activity, timeoutMs, () =>
        this.stallOf([...busy], timeoutMs),
      );
      this.met.add(kind);
      return replies;
    } catch (error) {
      this.failure = error;
      abortExchange(this.exchange);
      await settlesWithin(Promise.allSettled(answers), STOPPING_MS);
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
    if (!(await settlesWithin(ended, CLOSING_MS))) noteLastingThread();
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

  /** Of the workers that have not answered the one that the others wait for, if one does not wait itself. */
  private stallOf(busy: number[], timeoutMs: number): WorkerFailure {
    const worker = busy.find((candidate) => !this.activity.isWaiting(candidate)) ?? busy[0]!;
    return new WorkerFailure(
      `${this.nameOf(worker)} has not moved on for ${timeoutMs / 1000} s ${this.whereabouts(worker)}: ` +
        'it hangs, or give a longer --exchange-timeout',
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

/** A pool of exactly one thread keeps a placement entry's state and device together. */
function startThread(): Piscina {
  return new Piscina({
    filename: new URL('../../workers/tower.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Infinity,
    // Between commands the thread's event loop must run, so that tensors can be freed.
    atomics: 'disabled',
    // A step's garbage outlives the short collections; without a limit V8 lets 100 MB of it gather
    // before the first long one. What lives is about 35 MB: tensors are not in this heap.
    resourceLimits: { maxOldGenerationSizeMb: 160 },
  });
}
