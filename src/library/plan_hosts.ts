/** What hosts that train one network together receive from each other in a step. */
import { UserError } from '../errors.js';
import { divideFullyConnected } from '../model/hybrid.js';
import { elements } from '../model/network.js';
import type { Layer, Network, Parameter } from '../model/network.js';
import { PARALLELISMS } from './train_options.js';
import type { Parallelism } from './train_options.js';

const FLOAT32_BYTES = 4;

/** Bytes that each host receives per step, with one worker per host. */
export interface HostTraffic {
  /** Activations, their gradients, logits and labels. */
  exchangedBytes: number;
  /** What each further worker per host adds: every worker has a term of its own of the activations' gradients. */
  perFurtherWorkerBytes: number;
  /** Gradients of kernels, if their sums go around a ring. */
  reducedBytes: number;
}

/** One way to share the work. */
export interface PlannedParallelism {
  parallelism: Parallelism;
  /** The ranks of each host; null if the network cannot be divided so. */
  ranks: number[][] | null;
  /** Null if the network cannot be divided so. */
  traffic: HostTraffic | null;
  /** Why it cannot; null if it can. */
  problem: string | null;
}

/**
 * The traffic of each way to share the work among `hosts`, with one worker per host.
 *
 * @param batch images of all hosts
 */
export function planHosts(network: Network, hosts: number, batch: number): PlannedParallelism[] {
  return PARALLELISMS.map((parallelism) => {
    try {
      const traffic = TRAFFIC[parallelism](network, hosts, batch);
      const ranks = ranksOfHosts(parallelism, network.towers, hosts);
      return { parallelism, ranks, traffic, problem: null };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { parallelism, ranks: null, traffic: null, problem: error.message };
    }
  });
}

/** Each replica has all ranks; in a hybrid every host has as many as there are towers. */
function ranksOfHosts(parallelism: Parallelism, towers: number, hosts: number): number[][] {
  const perHost = parallelism === 'towers' ? towers / Math.min(towers, hosts) : towers;
  const hostsPerReplica = { replicas: 1, towers: Math.min(towers, hosts), hybrid: hosts }[
    parallelism
  ];
  return Array.from({ length: hosts }, (_, host) =>
    Array.from({ length: perHost }, (_, rank) => (host % hostsPerReplica) * perHost + rank),
  );
}

const TRAFFIC = { replicas: trafficOfReplicas, towers: trafficOfTowers, hybrid: trafficOfHybrid };

function trafficOfReplicas({ parameters }: Network, hosts: number): HostTraffic {
  const reduced = reducedBytes(parameters, hosts);
  return { exchangedBytes: 0, perFurtherWorkerBytes: 0, reducedBytes: reduced };
}

/** @throws UserError if the towers do not divide among the hosts of a replica, or the hosts among replicas */
function trafficOfTowers(network: Network, hosts: number, batch: number): HostTraffic {
  const { towers, layers, parameters } = network;
  const hostsPerReplica = Math.min(towers, hosts);
  const replicas = hosts / hostsPerReplica;
  if (towers % hostsPerReplica !== 0 || !Number.isInteger(replicas)) {
    throw new UserError(`${towers} towers cannot be divided among ${hosts} hosts`);
  }
  const gathering = layers.filter(({ gathers }) => gathers);
  return {
    ...exchanged(network, gathering, hostsPerReplica, batch / replicas),
    reducedBytes: reducedBytes(parameters, replicas) / hostsPerReplica,
  };
}

/** @throws UserError if the fully-connected layers cannot be divided */
function trafficOfHybrid(network: Network, hosts: number, batch: number): HostTraffic {
  const { layers, parameters } = divideFullyConnected(network, hosts);
  const gathering = layers.filter(
    (layer) => layer.gathersImages || (layer.gathers && layer.hosts > 1),
  );
  const labels = (1 - 1 / hosts) * batch * FLOAT32_BYTES;
  const replicated = parameters.filter((parameter) => parameter.hosts === 1);
  const { exchangedBytes, perFurtherWorkerBytes } = exchanged(network, gathering, hosts, batch);
  return {
    exchangedBytes: exchangedBytes + labels,
    perFurtherWorkerBytes,
    reducedBytes: reducedBytes(replicated, hosts),
  };
}

/** What a host receives of the others' parts: forward the layers' inputs and the logits, backward the inputs' gradients. */
function exchanged(
  { classes }: Network,
  gathering: readonly Layer[],
  hosts: number,
  images: number,
): Omit<HostTraffic, 'reducedBytes'> {
  const inputs = gathering.reduce(
    (sum, { input: { height, width, channels } }) => sum + height * width * channels,
    0,
  );
  const ofOthers = (1 - 1 / hosts) * images * FLOAT32_BYTES;
  return {
    exchangedBytes: ofOthers * (2 * inputs + classes),
    perFurtherWorkerBytes: ofOthers * inputs,
  };
}

/** Around a ring, each host receives every part of the sum but one twice: first its terms, then the whole. */
function reducedBytes(parameters: readonly Parameter[], hosts: number): number {
  const count = parameters.reduce((sum, { shape }) => sum + elements(shape), 0);
  return 2 * (1 - 1 / hosts) * count * FLOAT32_BYTES;
}
