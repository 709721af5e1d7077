/**
 * Joining the processes that a launcher has started: which MPI, how many, and whether each can talk to each.
 *
 * A wrong network interface lets MPI wait for ever without a word. So every process greets every other one first, and a
 * time limit names the two ends.
 */
import { hostname, networkInterfaces } from 'node:os';
import { UserError } from '../errors.js';
import { Heartbeat } from './heartbeat.js';
import { ProcessGroup, whyNoMpi } from './process_group.js';
import type { MpiName } from './process_group.js';
import { World } from './world.js';

export interface JoinOptions {
  /** Number of processes that there must be. */
  requireWorld?: number | undefined;
  /** Network interface for MPI, such as `eth1`, or a network, such as `10.0.0.0/24`; default: MPI's choice. */
  interface?: string | undefined;
  /** Milliseconds of silence after which another process counts as lost (default 5 minutes). */
  exchangeTimeoutMs?: number | undefined;
}

/** What each process tells every other one first. */
interface Greeting {
  host: string;
  version: string;
}

const GREETING_BYTES = 1024;

/** How long a greeting may take: connections are made one after another, and processes start at different times. */
const GREETING_LIMIT_MS = 60_000;

const SILENCE_MS = 5 * 60 * 1000;

/** How a process that was not greeted lets others say the same before it ends all of them, milliseconds. */
const OTHER_END_MS = 1500;

/** The number of processes that the launcher says it has started, and its MPI; null without a launcher. */
export function launchedBy(
  environment: NodeJS.ProcessEnv,
): { processes: number; mpi: MpiName | null } | null {
  const { OMPI_COMM_WORLD_SIZE, PMI_SIZE, SLURM_NTASKS, SLURM_STEP_ID, PMIX_RANK } = environment;
  if (OMPI_COMM_WORLD_SIZE !== undefined) {
    return { processes: Number(OMPI_COMM_WORLD_SIZE), mpi: 'openmpi' };
  }
  if (PMI_SIZE !== undefined) return { processes: Number(PMI_SIZE), mpi: 'mpich' };
  // A batch script, which srun has not started, also has the number of tasks.
  if (SLURM_NTASKS === undefined || SLURM_STEP_ID === undefined) return null;
  return { processes: Number(SLURM_NTASKS), mpi: PMIX_RANK === undefined ? null : 'openmpi' };
}

/**
 * Joins the world that the launcher has started; without a launcher this process is alone.
 *
 * @param version of this program, which must be the same everywhere
 * @throws UserError for a world of another size than asked for, one without MPI, and processes that cannot talk
 */
export async function joinWorld(version: string, options: JoinOptions): Promise<World> {
  const launched = launchedBy(process.env);
  if (launched === null || launched.processes === 1) {
    refuseOtherSize(1, options.requireWorld);
    return World.alone();
  }
  const mpi = launched.mpi ?? installedMpi();
  chooseInterface(options.interface);
  // In pieces around a ring; the default would send everything to one process.
  process.env['OMPI_MCA_coll_libnbc_iallreduce_algorithm'] ??= '1';
  const world = ProcessGroup.ofWorld(mpi);
  try {
    if (world.size !== launched.processes) {
      throw new UserError(
        `the launcher has started ${launched.processes} processes, but MPI connects ${world.size}: ` +
          'start them with the mpirun of the MPI that set-up has found, or with srun --mpi=pmix (Open MPI) or --mpi=pmi2 (MPICH)',
      );
    }
    refuseOtherSize(world.size, options.requireWorld);
    if (world.threadLevel !== 'MULTIPLE') {
      throw new UserError(
        `${world.version} grants MPI_THREAD_${world.threadLevel}, but MPI_THREAD_MULTIPLE is needed: use a build of it with support for threads`,
      );
    }
  } catch (error) {
    // Every process finds the same, and the first one says it.
    world.finalize();
    if (world.rank > 0) return endQuietly();
    throw error;
  }
  const greetings = await greet(world, { host: hostname(), version }, options.interface);
  const hosts = greetings.map(({ host }, rank) =>
    greetings.filter((other) => other.host === host).length === 1 ? host : `${host} (${rank})`,
  );
  const silenceMs = options.exchangeTimeoutMs ?? SILENCE_MS;
  const heartbeat = new Heartbeat(world.split(0), hosts, silenceMs);
  return new World({ group: world.split(0), heartbeat, hosts });
}

function refuseOtherSize(processes: number, required: number | undefined): void {
  if (required === undefined || required === processes) return;
  throw new UserError(
    `--require-world ${required}: the world has ${processes} process${processes === 1 ? '' : 'es'}; start as many with mpirun -n ${required} or srun -n ${required}`,
  );
}

/** Leaves it to the first process to say why: with another exit code, `mpirun` would end all at once. */
function endQuietly(): never {
  process.exit(0);
}

/** Slurm does not say which MPI it speaks. */
function installedMpi(): MpiName {
  return whyNoMpi('openmpi') === null ? 'openmpi' : 'mpich';
}

/** Every MPI reads its own variables; what the user has set himself stays. */
function chooseInterface(name: string | undefined): void {
  if (name === undefined) return;
  for (const variable of [
    'OMPI_MCA_btl_tcp_if_include',
    'OMPI_MCA_oob_tcp_if_include',
    'FI_TCP_IFACE',
    'FI_SOCKETS_IFACE',
    'UCX_NET_DEVICES',
  ]) {
    process.env[variable] ??= name;
  }
}

/**
 * Greets every other process, and is greeted.
 *
 * @returns the greetings, by rank
 */
async function greet(
  world: ProcessGroup,
  own: Greeting,
  chosen: string | undefined,
): Promise<Greeting[]> {
  const bytes = new Uint8Array(GREETING_BYTES);
  new TextEncoder().encodeInto(JSON.stringify(own), bytes);
  const others = Array.from({ length: world.size }, (_, rank) => rank).filter(
    (rank) => rank !== world.rank,
  );
  const exchanges = others.map((rank) => {
    const incoming = new Uint8Array(GREETING_BYTES);
    const waiting = new Set([world.receive(incoming, rank), world.send(bytes, rank)]);
    return { rank, incoming, waiting };
  });
  const until = performance.now() + GREETING_LIMIT_MS;
  const isWaiting = (): boolean => exchanges.some(({ waiting }) => waiting.size > 0);
  while (isWaiting() && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (const { waiting } of exchanges) {
      for (const ticket of waiting) if (world.wait(ticket, 0)) waiting.delete(ticket);
    }
  }
  const greetings = Array.from({ length: world.size }, () => own);
  for (const { rank, incoming, waiting } of exchanges) {
    if (waiting.size > 0) continue;
    const text = new TextDecoder().decode(incoming.subarray(0, incoming.indexOf(0)));
    greetings[rank] = JSON.parse(text) as Greeting;
  }
  const mute = exchanges.filter(({ waiting }) => waiting.size > 0).map(({ rank }) => rank);
  if (mute.length > 0) await endUnheard(world, own, mute, chosen);
  const other = greetings.find(({ version }) => version !== greetings[0]!.version);
  if (other !== undefined) {
    world.finalize();
    if (world.rank > 0) endQuietly();
    throw new UserError(
      `${other.host} runs twotower ${other.version}, ${greetings[0]!.host} ${greetings[0]!.version}: install the same version on all hosts`,
    );
  }
  return greetings;
}

/** Says with whom this process cannot talk, lets the other end say so too, and ends all. */
async function endUnheard(
  world: ProcessGroup,
  { host }: Greeting,
  mute: number[],
  chosen: string | undefined,
): Promise<never> {
  const tried = chosen ?? process.env['OMPI_MCA_btl_tcp_if_include'] ?? addresses().join(', ');
  const peers = mute.map((rank) => `process ${rank}`).join(', ');
  process.stderr.write(
    `twotower: process ${world.rank} on ${host} cannot talk with ${peers} over ${tried} within ${GREETING_LIMIT_MS / 1000} s: ` +
      'name the interface that connects the hosts with --interface, and check that no firewall is between them\n',
  );
  await new Promise((resolve) => setTimeout(resolve, OTHER_END_MS));
  world.abortWorld(1);
  return process.exit(1);
}

/** This host's interfaces with their addresses, but not the loopback device. */
export function addresses(): string[] {
  return Object.entries(networkInterfaces()).flatMap(([name, those = []]) =>
    those
      .filter(({ internal, family }) => !internal && family === 'IPv4')
      .map(({ address }) => `${name} ${address}`),
  );
}
