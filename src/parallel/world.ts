/**
 * The processes that train one network together, one per host, as a launcher (`mpirun`, `srun`) has started them.
 *
 * Each of them runs the whole trainer, and none commands another. A replica of the network is on one of them, or divided
 * among several (`divideReplicas`). Each replica trains on its share of every batch. What must be the same in all
 * processes is summed (`agree`), taken from the first (`fromFirst`) or compared (`requireSame`).
 * A process that was started alone is a world of one, in which all of this is the identity.
 */
import { Packr } from 'msgpackr';
import { UserError, messageOf } from '../errors.js';
import { Heartbeat, ProcessLost } from './heartbeat.js';
import type { GroupHandle, ProcessGroup, Ticket } from './process_group.js';

/** Numbers that ride along with every agreement. */
export interface Topic {
  /** This process's, always as many. */
  own(): number[];
  /** Gets their sums over all processes, the same in each of them. */
  agreed(sums: number[]): void | Promise<void>;
}

/** Something that must be the same in all processes. */
export interface Fact {
  /** Such as `other data`. */
  otherwise: string;
  value: unknown;
  remedy: string;
}

/** How long a process that fails waits for the others to end as well, milliseconds. */
const ENDING_MS = 5000;

/** How much later than the one before it each process ends all, milliseconds. */
const STAGGER_MS = 500;

/** Between two looks at whether a process is lost, milliseconds. */
const LOOK_MS = 500;

/**
 * Once a signal has come, a process that is silent for so long counts as lost, milliseconds: less than half the time
 * between the TERM and the KILL of Open MPI's mpirun, of which its parameter sets the half in seconds.
 */
const ROLL_CALL_MS = 900 * Number(process.env['OMPI_MCA_odls_base_sigkill_timeout'] ?? 1);

/** `moreTypes` keeps a typed array what it is. */
const packr = new Packr({ useRecords: false, moreTypes: true });

/** What a world of more than one process consists of. */
export interface Connection {
  /** For agreements, begun by the main thread alone. */
  group: ProcessGroup;
  heartbeat: Heartbeat;
  /** Name of each process: its host, with its number where a host has several. */
  hosts: string[];
}

/** Never aborted: a process that is alone has no other to lose. */
const NEVER = new AbortController().signal;

export class World {
  private readonly topics: Topic[] = [];
  private hasEnded = false;
  private processesPerReplica = 1;
  private dividesImages = false;

  /** @param connection null for a process that is alone */
  constructor(private readonly connection: Connection | null) {}

  /** A world of this process alone. */
  static alone(): World {
    return new World(null);
  }

  /** Number of this process, from 0. */
  get process(): number {
    return this.connection?.group.rank ?? 0;
  }

  get processes(): number {
    return this.connection?.group.size ?? 1;
  }

  /** Whether this process is the one that has the run folder and prints. */
  get isFirst(): boolean {
    return this.process === 0;
  }

  get isAlone(): boolean {
    return this.processes === 1;
  }

  /**
   * Divides each replica among so many processes, one after another (default 1). The same in all processes, before
   * anything is computed.
   *
   * @param processes divides the number of all
   * @param isHybrid whether each of them has images of its own: see model/hybrid.ts. All must be in one replica then
   */
  divideReplicas(processes: number, isHybrid = false): void {
    this.processesPerReplica = processes;
    this.dividesImages = isHybrid;
  }

  /** The same processes, for other workers that divide them otherwise: see `divideReplicas`. */
  dividedOtherwise(processes: number, isHybrid = false): World {
    const other = new World(this.connection);
    other.divideReplicas(processes, isHybrid);
    return other;
  }

  /** Hosts among which the fully-connected layers are divided, each with its own images; 1 but in a hybrid. */
  get fullyConnectedHosts(): number {
    return this.dividesImages ? this.processesPerReplica : 1;
  }

  /** Which share of every batch this process has, of how many. */
  get imageShare(): { index: number; of: number } {
    return this.dividesImages
      ? { index: this.hostOfReplica, of: this.hostsPerReplica }
      : { index: this.replica, of: this.replicas };
  }

  /** Whether this process is the first of those that have its share of every batch. */
  get isFirstOfShare(): boolean {
    return this.dividesImages || this.hostOfReplica === 0;
  }

  /** Processes among which each replica is divided. */
  get hostsPerReplica(): number {
    return this.processesPerReplica;
  }

  /** Position of this process's replica, from 0. */
  get replica(): number {
    return Math.floor(this.process / this.processesPerReplica);
  }

  get replicas(): number {
    return this.processes / this.processesPerReplica;
  }

  /** Position of this process among those of its replica, from 0. The first one speaks for the replica. */
  get hostOfReplica(): number {
    return this.process % this.processesPerReplica;
  }

  /** Name of each process; none if it is alone. */
  get hosts(): string[] {
    return this.connection?.hosts ?? [];
  }

  /** The MPI library, one line; null without one. */
  get mpi(): string | null {
    return this.connection?.group.version ?? null;
  }

  /** Whether MPI can sum what is in a GPU's memory. */
  get mpiReadsGpuMemory(): boolean {
    return this.connection?.group.readsGpuMemory ?? false;
  }

  /** Aborted with a `ProcessLost` when another process has failed or is not heard of any more. */
  get lost(): AbortSignal {
    return this.connection?.heartbeat.lost ?? NEVER;
  }

  /** From now on a process that is silent for a second is lost: a launcher that ends all of them leaves little more. */
  callTheRoll(): void {
    this.connection?.heartbeat.expectWithin(ROLL_CALL_MS);
  }

  /**
   * Groups of the processes with the same kernels and other images: a group for each of this process's workers. A
   * collective.
   *
   * @returns none if there are no others
   */
  groupsAcrossImages(workers: number): GroupHandle[] {
    const { connection } = this;
    if (connection === null || this.imageShare.of === 1) return [];
    const colour = this.dividesImages ? 0 : this.hostOfReplica;
    return Array.from({ length: workers }, () => connection.group.split(colour).handle);
  }

  /** The group of the processes among which this replica is divided; null if it is on one. A collective. */
  groupWithinReplica(): GroupHandle | null {
    if (this.connection === null || this.hostsPerReplica === 1) return null;
    return this.connection.group.split(this.replica).handle;
  }

  /**
   * Has `topic` ride along with every agreement. All processes must do this in the same order.
   *
   * @returns ends it
   */
  discuss(topic: Topic): () => void {
    this.topics.push(topic);
    return () => this.topics.splice(this.topics.indexOf(topic), 1);
  }

  /**
   * Sums numbers over all processes. A collective, like all that follows.
   *
   * @param values as many in every process
   * @returns the sums, the same bits in every process
   * @throws ProcessLost
   */
  async agree(values: number[] = []): Promise<number[]> {
    const own = this.topics.map((topic) => topic.own());
    const sums = await this.sum(Float64Array.from([...values, ...own.flat()]));
    let at = values.length;
    for (const [index, topic] of this.topics.entries()) {
      const { length } = own[index]!;
      await topic.agreed([...sums.subarray(at, at + length)]);
      at += length;
    }
    return [...sums.subarray(0, values.length)];
  }

  /** Replaces each number by its sum over all processes. */
  async sum<Values extends Float32Array | Float64Array>(values: Values): Promise<Values> {
    if (this.connection !== null) await this.complete(this.connection.group.allReduce(values));
    return values;
  }

  /** Copies the bytes of process `root` to all others. */
  async broadcast(bytes: ArrayBufferView, root = 0): Promise<void> {
    if (this.connection !== null) {
      await this.complete(this.connection.group.broadcast(bytes, root));
    }
  }

  /** Sends bytes to process `to`, which receives them. Not a collective. */
  async send(bytes: ArrayBufferView, to: number): Promise<void> {
    await this.complete(this.connection!.group.send(bytes, to));
  }

  /** Receives as many bytes as process `from` sends. */
  async receive(bytes: ArrayBufferView, from: number): Promise<void> {
    await this.complete(this.connection!.group.receive(bytes, from));
  }

  /**
   * Has the first process make a value, and all others get a copy.
   *
   * @throws what `make` throws; a `UserError` with its message in the other processes
   */
  async fromFirst<Value>(make: () => Value | Promise<Value>): Promise<Value> {
    if (this.isAlone) return make();
    if (!this.isFirst) {
      const told = await this.copyOf<{ value: Value } | { failure: string }>(undefined, 0);
      if ('failure' in told) throw new UserError(told.failure);
      return told.value;
    }
    let value: Value;
    try {
      value = await make();
    } catch (error) {
      await this.copyOf({ failure: messageOf(error) }, 0);
      throw error;
    }
    await this.copyOf({ value }, 0);
    return value;
  }

  /** The value of every process, in order. */
  async gather<Value>(value: Value): Promise<Value[]> {
    const values: Value[] = [];
    for (let root = 0; root < this.processes; root++) {
      values.push(this.isAlone ? value : await this.copyOf(value, root));
    }
    return values;
  }

  /** @throws UserError in all processes, if a fact is not the same in all: it names the hosts and the remedy */
  async requireSame(facts: Fact[]): Promise<void> {
    if (this.isAlone) return;
    const values = await this.gather(facts.map(({ value }) => JSON.stringify(value)));
    for (const [index, { otherwise, remedy }] of facts.entries()) {
      const others = this.hosts.filter((_, rank) => values[rank]![index] !== values[0]![index]);
      if (others.length === 0) continue;
      throw new UserError(
        `${others.join(', ')} ${others.length === 1 ? 'has' : 'have'} ${otherwise} than ${this.hosts[0]!}: ${remedy}`,
      );
    }
  }

  /**
   * Ends this process's part in the world. If all fail alike, as of what they have agreed on, this returns, and the
   * caller says why. If one fails alone or is lost, all are ended. The first process prints why; if it is lost, the next.
   *
   * @param failure what this process fails of; undefined if it is done
   * @param print prints the line that says why
   */
  async end(failure: unknown, print: (line: string) => void): Promise<void> {
    if (this.connection === null || this.hasEnded) return;
    this.hasEnded = true;
    const { heartbeat, hosts, group } = this.connection;
    const why = failure === undefined ? '' : messageOf(failure);
    const follows = failure instanceof ProcessLost;
    const ending = failure === undefined ? 'done' : follows ? 'followed' : 'failed';
    const endings = await heartbeat.end(ending, why, ENDING_MS);
    if (!follows && endings.every((one) => one === 'done' || one === 'failed')) {
      group.finalize();
      return;
    }
    // Those before this one end all meanwhile, unless they are lost.
    await new Promise((resolve) => setTimeout(resolve, STAGGER_MS * this.process));
    if (failure !== undefined && (this.isFirst || endings[0] === null)) {
      const remedy = this.isFirst ? '' : '; start all processes again with --resume';
      print(`${follows ? '' : `${hosts[this.process]!}: `}${why}${remedy}`);
    }
    group.abortWorld(1);
  }

  /** One process's value, copied to the others. */
  private async copyOf<Value>(value: Value | undefined, root: number): Promise<Value> {
    const isRoot = root === this.process;
    const packed = isRoot ? Uint8Array.from(packr.pack(value)) : new Uint8Array(0);
    const length = Float64Array.of(packed.length);
    await this.broadcast(length, root);
    const bytes = isRoot ? packed : new Uint8Array(length[0]!);
    await this.broadcast(bytes, root);
    return isRoot ? value! : (packr.unpack(bytes) as Value);
  }

  /** @throws ProcessLost */
  private async complete(ticket: Ticket): Promise<void> {
    const { group } = this.connection!;
    while (!(await group.finished(ticket, LOOK_MS))) this.lost.throwIfAborted();
  }
}

export { ProcessLost };
