/**
 * What the workers of this process exchange through: memory that its threads share, and groups of processes where a
 * network is divided among hosts, or trained by several replicas.
 */
import { ordinalOf, sharedMemoryOf } from '../backend/backend.js';
import type { BackendName } from '../backend/backend.js';
import type { Network } from '../model/network.js';
import { allocateGpuPlaces } from './gpu_memory.js';
import type { OpenCommand, SharedBuffers } from './messages.js';
import { connectPeers } from './peer_memory.js';
import type { Placement } from './placement.js';
import { allocateSlotCopies } from './slot_copies.js';
import { allocateExchangeMemory } from './slots.js';
import type { ExchangeMemory } from './slots.js';
import type { World } from './world.js';

/** What `open` tells a worker of where it is. */
type ConnectionCommand = Pick<
  OpenCommand,
  | 'workers'
  | 'worker'
  | 'device'
  | 'threads'
  | 'gpuMemory'
  | 'fullyConnectedHosts'
  | 'hosts'
  | 'replicas'
>;

export interface Connections {
  /** This host's workers, with the ranks that they have in the replica. */
  placement: Placement;
  /** The ranks of every worker of the replica, host after host. */
  workers: number[][];
  /** Position among them of this host's first. */
  firstWorker: number;
  memory: ExchangeMemory;
  /** What `open` tells each worker of this host. */
  commandOf(worker: number): ConnectionCommand;
  /** What goes beside that. */
  buffersOf(worker: number): SharedBuffers;
}

/**
 * Connects the workers. A collective of all processes of the world.
 *
 * @param placement workers of one host; the ranks are those of the first host of a replica
 * @param batch largest number of images of this host
 */
export function connectWorkers(
  network: Network,
  placement: Placement,
  world: World,
  backend: BackendName,
  batch: number,
): Connections {
  const { hostsPerReplica, hostOfReplica } = world;
  const workersPerHost = placement.length;
  const hosts = Array.from({ length: hostsPerReplica }, (_, host) => placementOn(host, placement));
  const workers = hosts.flatMap((on) => on.map(({ ranks }) => ranks));
  const firstWorker = hostOfReplica * workersPerHost;
  const isHere = (worker: number): boolean =>
    worker >= firstWorker && worker < firstWorker + workersPerHost;
  const memory = allocateExchangeMemory(network, workers, batch);
  const sharing = sharedMemoryOf(backend, placement[0]!.device);
  const peers = sharing === 'host' ? connectPeers(memory, workers.length, isHere) : undefined;
  const gpuPlaces =
    sharing === 'gpus'
      ? allocateGpuPlaces(
          memory,
          hosts.flat().map(({ device }) => (device === 'cpu' ? 0 : ordinalOf(device))),
        )
      : undefined;
  const copies = allocateSlotCopies(
    memory,
    ({ from, readers }) => readers.some(isHere) && !(sharing !== null && isHere(from)),
  );
  const replicas = world.groupsAcrossImages(workersPerHost);
  const group = world.groupWithinReplica();
  return {
    placement: hosts[hostOfReplica]!,
    workers,
    firstWorker,
    memory,
    commandOf: (worker) => ({
      device: placement[worker]!.device,
      threads: placement[worker]!.threads,
      gpuMemory: placement[worker]!.gpuMemory ?? 1,
      fullyConnectedHosts: network.hosts,
      workers,
      worker: firstWorker + worker,
      hosts: group && { group, workersPerHost },
      replicas: replicas[worker] ?? null,
    }),
    buffersOf: (worker) => ({
      exchange: memory,
      copies,
      ...(peers && { peers: peers[firstWorker + worker]! }),
      ...(gpuPlaces && { gpuPlaces }),
    }),
  };
}

/** The placement with the ranks that it has on another host of the replica, from 0. */
function placementOn(host: number, placement: Placement): Placement {
  const ranksPerHost = placement.flatMap(({ ranks }) => ranks).length;
  return placement.map((worker) => ({
    ...worker,
    ranks: worker.ranks.map((rank) => host * ranksPerHost + rank),
  }));
}
