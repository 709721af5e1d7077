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
import type { Connections } from './connections.js';
import type { Placement } from './placement.js';
import { abortExchange } from './slots.js';
import type { ExchangeMemory } from './slots.js';
import type { World } from './world.js';
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

  private readonly placement: Placement;
  private readonly exchange: ExchangeMemory;
  private readonly lost: AbortSignal;
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
   * @param world says when a process on another host is lost
   */
  constructor(
    private readonly connections: Connections,
    private readonly world: World,
    private readonly exchangeTimeoutMs = EXCHANGE_TIMEOUT_MS,
  ) {
    this.placement = connections.placement;
    this.exchange = connections.memory;
    this.lost = world.lost;
    this.pools = this.placement.map(() => startThread());
    this.activity = new ActivityView(this.exchange.activity, connections.firstWorker);
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
    const limitMs = (): number => (this.waitForHosts([...busy]) ? 2 * timeoutMs : timeoutMs);
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
    const defect = threw && error.stack !== '' ? error.stack : undefined;
    return new WorkerFailure(
      `${this.nameOf(worker)} failed ${this.whereabouts(worker)}: ${messageOf(error)}`,
      defect,
      { cause: error },
    );
  }

  /**
   * Blames, of the workers that have not answered, one that does not wait for another itself. If all wait, it is the one
   * on another host that is waited for.
   */
  private stallOf(busy: number[], limitMs: number): WorkerFailure {
    const moving = busy.find((candidate) => !this.activity.isWaiting(candidate));
    const elsewhere = busy.flatMap((candidate) => this.awaitedElsewhere(candidate) ?? []);
    const limit = `for ${limitMs / 1000} s`;
    const what =
      moving === undefined && elsewhere.length > 0
        ? `${elsewhere[0]!} ${limit} ${this.doing}: it hangs, is slow or cannot be reached`
        : `${this.nameOf(moving ?? busy[0]!)} has made no progress ${limit} ${this.whereabouts(moving ?? busy[0]!)}: it hangs or is slow`;
    return new WorkerFailure(`${what}; if slow, raise --exchange-timeout`, undefined);
  }

  /** Whether other hosts are to blame if nothing moves. They have more time, because they know better what is wrong. */
  private waitForHosts(busy: number[]): boolean {
    return (
      busy.every((worker) => this.activity.isWaiting(worker)) &&
      busy.some(
        (worker) =>
          this.activity.waitsForReplicas(worker) || this.awaitedElsewhere(worker) !== null,
      )
    );
  }

  /** The worker of another host that a worker waits for, as `rank 1 on HOST has not come to conv3 (forward)`. */
  private awaitedElsewhere(waiting: number): string | null {
    const awaited = this.activity.awaitedBy(waiting);
    if (awaited === null) return null;
    const { workers, firstWorker } = this.connections;
    const { pass, peer, place } = awaited;
    const worker = pass === 'backward' ? peer : workers.findIndex((ranks) => ranks.includes(peer));
    const { length } = this.placement;
    if (worker >= firstWorker && worker < firstWorker + length) return null;
    const { hosts, replica, hostsPerReplica } = this.world;
    const host = hosts[replica * hostsPerReplica + Math.floor(worker / length)]!;
    return `rank ${workers[worker]!.join(',')} on ${host} has not come to ${place} (${pass})`;
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
