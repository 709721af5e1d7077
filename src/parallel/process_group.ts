/**
 * A group of processes, on one host or many, that exchange bytes over MPI.
 *
 *     const world = ProcessGroup.ofWorld('openmpi');
 *     const ticket = world.allReduce(gradients);
 *     … compute …
 *     if (!world.wait(ticket, 1000)) throw new Error('not within a second');
 *
 * Every operation begins at once and returns a ticket, which this object takes back when a wait says that the operation
 * is done. Until then its memory must not be touched; `ProcessGroup` keeps it from being freed. A communication thread
 * per group carries out its collectives, so that the caller can compute meanwhile.
 *
 * Any thread can use a group: `new ProcessGroup(handle)` with the handle that the main thread sent it. All processes of a
 * group must begin its collectives in the same order, so threads that begin collectives need a group each (`split`).
 * Messages between two processes arrive in the order in which they were sent, per tag; threads tell theirs apart by
 * their tags. In one process, one thread at a time waits for a ticket.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { GpuValues } from '../backend/capabilities.js';
import { UserError } from '../errors.js';
import { addonPlaces, notLoaded, recordedReason } from '../set_up_parts.js';

/** An MPI that set-up can build the addon for. Intel MPI, MVAPICH and Cray MPICH are MPICH to it. */
export type MpiName = 'openmpi' | 'mpich';

/** An operation under way. */
export type Ticket = number;

/** A group as another thread of this process can be told of it. */
export interface GroupHandle {
  mpi: MpiName;
  /** The addon's number of the group. */
  group: number;
}

/** What may come with a sum. */
export interface SumOptions {
  /** Gets when the communication thread has begun and ended it, on the clock of `clock.ts`. */
  times?: SumTimes;
  /** One integer, not 0 once the values are there (default: they are). Collectives that are begun later wait too. */
  ready?: Int32Array | null;
}

type Bytes = Uint8Array<ArrayBufferLike>;

/** When a sum began and ended, microseconds: two numbers with a buffer of their own. */
export type SumTimes = Float64Array<ArrayBuffer>;

/** native/mpi.cc. */
interface MpiAddon {
  init(): number;
  threadLevel(): number;
  version(): string;
  rank(group: number): number;
  size(group: number): number;
  split(group: number, colour: number, key: number): number;
  allReduce(
    group: number,
    bytes: Bytes,
    type: 'float32' | 'float64',
    times: Bytes,
    ready: Bytes,
  ): Ticket;
  readsGpuMemory(): boolean;
  allReduceOnGpu(
    group: number,
    from: bigint,
    to: bigint,
    length: number,
    context: bigint,
    times: Bytes,
    ready: Bytes,
  ): Ticket;
  broadcast(group: number, bytes: Bytes, root: number): Ticket;
  barrier(group: number): Ticket;
  send(group: number, bytes: Bytes, to: number, tag: number): Ticket;
  receive(group: number, bytes: Bytes, from: number, tag: number): Ticket;
  wait(ticket: Ticket, milliseconds: number): boolean;
  finished(ticket: Ticket, milliseconds: number): Promise<boolean>;
  abort(code: number): void;
  finalize(): void;
}

/** MPI's levels of support for threads; the trainer needs the last. */
export const THREAD_LEVELS = ['SINGLE', 'FUNNELED', 'SERIALIZED', 'MULTIPLE'] as const;

const PACKAGES = { openmpi: 'libopenmpi-dev', mpich: 'libmpich-dev' };

const loaded = new Map<MpiName, MpiAddon>();

/** @throws UserError if set-up has not built the addon for this MPI, or it does not load */
function loadAddon(mpi: MpiName): MpiAddon {
  const known = loaded.get(mpi);
  if (known !== undefined) return known;
  const reason = whyNoMpi(mpi);
  if (reason !== null) throw new UserError(reason);
  const { file } = addonPlaces(`mpi_${mpi}`);
  // UCX, which MPICH and some Open MPIs send with, would else rewrite the process's memory functions while Node's threads
  // call them: with MPICH 4.0 and UCX 1.13, one start of four processes in thirty ended in a segmentation fault.
  process.env['UCX_MEM_EVENTS'] ??= 'no';
  try {
    const addon = createRequire(import.meta.url)(file) as MpiAddon;
    loaded.set(mpi, addon);
    return addon;
  } catch (error) {
    throw new UserError(`no ${mpi}: ${notLoaded(error)}`, { cause: error });
  }
}

/** Why set-up has no addon for this MPI, and the remedy, in one line; null if it has one. */
export function whyNoMpi(mpi: MpiName): string | null {
  const { file, unavailable } = addonPlaces(`mpi_${mpi}`);
  if (existsSync(file)) return null;
  const notTried = `its compiler mpicc is not on the PATH: install ${PACKAGES[mpi]} or load its module, then run npm run setup`;
  return `no ${mpi}: ${recordedReason(unavailable, notTried)}`;
}

export class ProcessGroup {
  /** Position of this process in the group, from 0. */
  readonly rank: number;
  /** Processes in the group. */
  readonly size: number;

  private readonly addon: MpiAddon;
  /** The memory of operations under way. */
  private readonly inUse = new Map<Ticket, (ArrayBufferView | null | undefined)[]>();

  /** @param handle of a group of this process */
  constructor(readonly handle: GroupHandle) {
    this.addon = loadAddon(handle.mpi);
    this.rank = this.addon.rank(handle.group);
    this.size = this.addon.size(handle.group);
  }

  /**
   * Joins the other processes that the launcher has started; without a launcher this process is alone. For the main
   * thread. What MPI reads of the environment must be set before the first call.
   *
   * @throws UserError if there is no addon for this MPI
   */
  static ofWorld(mpi: MpiName): ProcessGroup {
    return new ProcessGroup({ mpi, group: loadAddon(mpi).init() });
  }

  /** Name and version of the MPI library, one line. */
  get version(): string {
    return this.addon.version().split('\n')[0]!.trim();
  }

  /** Whether MPI says that it reads the memory of GPUs, unless `TWOTOWER_CUDA_AWARE_MPI`, `always` or `never`, knows better. */
  get readsGpuMemory(): boolean {
    const when = process.env['TWOTOWER_CUDA_AWARE_MPI'] ?? 'auto';
    return when === 'always' || (when !== 'never' && this.addon.readsGpuMemory());
  }

  /** What MPI allows threads to do at once. */
  get threadLevel(): (typeof THREAD_LEVELS)[number] {
    return THREAD_LEVELS[this.addon.threadLevel()]!;
  }

  /**
   * Divides the group. Every process of it must call this, and the call blocks until all have.
   *
   * @param colour from 0; processes that give the same one form a group
   * @param key orders them; ties keep their order
   */
  split(colour: number, key = this.rank): ProcessGroup {
    const { mpi, group } = this.handle;
    return new ProcessGroup({ mpi, group: this.addon.split(group, colour, key) });
  }

  /**
   * Collective: replaces each number by its sum over all processes, the same bits on each of them.
   */
  allReduce(values: Float32Array | Float64Array, { times, ready }: SumOptions = {}): Ticket {
    const type = values instanceof Float32Array ? 'float32' : 'float64';
    return this.begin(
      values,
      (bytes) =>
        this.addon.allReduce(this.handle.group, bytes, type, bytesOf(times), bytesOf(ready)),
      [times, ready],
    );
  }

  /**
   * Collective: the same of values in the memory of GPUs, all of them on each process. Both memories must stay as they are until
   * it is done. The communication thread waits inside MPI meanwhile.
   *
   * Only where `readsGpuMemory`: another MPI would end the process.
   */
  allReduceOnGpu({ from, to, length, context }: GpuValues, { times, ready }: SumOptions): Ticket {
    const { group } = this.handle;
    const addresses = [from, to, length, context] as const;
    const ticket = this.addon.allReduceOnGpu(group, ...addresses, bytesOf(times), bytesOf(ready));
    this.inUse.set(ticket, [times, ready]);
    return ticket;
  }

  /** Collective: copies the values of process `root` to all others. */
  broadcast(values: ArrayBufferView, root = 0): Ticket {
    return this.begin(values, (bytes) => this.addon.broadcast(this.handle.group, bytes, root));
  }

  /** Collective: done once every process has begun it. */
  barrier(): Ticket {
    return this.addon.barrier(this.handle.group);
  }

  /**
   * Sends a message of less than 2 GiB. It moves while either side waits for it.
   *
   * @param to rank in this group
   * @param tag 0 to 32,767
   */
  send(values: ArrayBufferView, to: number, tag = 0): Ticket {
    return this.begin(values, (bytes) => this.addon.send(this.handle.group, bytes, to, tag));
  }

  /**
   * Receives the next message with this tag from this rank.
   *
   * @param values at least as long as the message
   */
  receive(values: ArrayBufferView, from: number, tag = 0): Ticket {
    return this.begin(values, (bytes) => this.addon.receive(this.handle.group, bytes, from, tag));
  }

  /**
   * Blocks this thread until the operation is done.
   *
   * @param milliseconds the longest time to wait
   * @returns whether it is done: the ticket is void then
   * @throws Error if MPI reports a failure, which is rare: it does not notice a process that is stopped, nor a cut link
   */
  wait(ticket: Ticket, milliseconds: number): boolean {
    const isDone = this.addon.wait(ticket, milliseconds);
    if (isDone) this.inUse.delete(ticket);
    return isDone;
  }

  /** `wait` without blocking this thread. */
  async finished(ticket: Ticket, milliseconds: number): Promise<boolean> {
    const isDone = await this.addon.finished(ticket, milliseconds);
    if (isDone) this.inUse.delete(ticket);
    return isDone;
  }

  /** Ends all processes of the world, with this exit code: this one within seconds, even if MPI hangs. */
  abortWorld(code: number): void {
    this.addon.abort(code);
  }

  /** Leaves MPI, once all processes of the world do. No operation may be under way, and none may follow. */
  finalize(): void {
    this.addon.finalize();
  }

  private begin(
    values: ArrayBufferView,
    operation: (bytes: Bytes) => Ticket,
    others: (ArrayBufferView | null | undefined)[] = [],
  ): Ticket {
    const ticket = operation(bytesOf(values));
    this.inUse.set(ticket, [values, ...others]);
    return ticket;
  }
}

function bytesOf(view: ArrayBufferView | null | undefined): Bytes {
  return view ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array(0);
}
