/** What a network costs: `plan` of the package, and all that the command of that name computes. */
import type { Configuration } from '../configuration.js';
import type { ActivationShape, LayerSpecification } from '../model/layers.js';
import {
  buildNetwork,
  elements,
  exchangedBytes,
  gatheredBytes,
  isParameterised,
  logitsBytes,
  type Layer,
  type Network,
  type Parameter,
} from '../model/network.js';
import { stepMemory, type StepMemory } from '../model/memory.js';
import { largestShare } from '../model/shares.js';
import { planHosts } from './plan_hosts.js';
import type { PlannedParallelism } from './plan_hosts.js';
import { configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

/** One layer's costs. Parameters and MACs are over all ranks; a rank has 1/T of each. */
export interface PlannedLayer {
  name: string;
  type: LayerSpecification['type'] | 'logits';
  /** Kernels or units over all towers; null for layers without. */
  kernels: number | null;
  /** The first layer reads the image, which every rank has whole. */
  reads: 'image' | 'own' | 'all' | null;
  /** What one rank produces of one image. */
  output: ActivationShape;
  parameters: number;
  parametersPerRank: number;
  /** Of one image, forward. */
  macs: number;
  /** Bytes that ranks read from each other in a step: activations forward, gradients backward. */
  exchangedBytes: number;
}

/** A network's costs, layer by layer and in all: what `plan --json` prints. */
export interface Plan {
  name: string;
  towers: number;
  classes: number;
  input: ActivationShape;
  batch: number;
  layers: PlannedLayer[];
  total: Pick<PlannedLayer, 'parameters' | 'parametersPerRank' | 'macs' | 'exchangedBytes'>;
  /** What a step takes on the device of a worker with one rank, an estimate. */
  memoryPerRank: StepMemory;
  /** What that many hosts would receive from each other; absent if there is one. */
  hosts?: { count: number; parallelisms: PlannedParallelism[] };
}

/**
 * What a recipe's network costs, before anything is trained.
 *
 * @param hosts that would train it together
 * @throws UserError where the network does not fit the towers, and for a recipe that cannot be read
 */
export function plan(recipe: Recipe, hosts = 1): Plan {
  return planOf(configurationOf(recipe), hosts);
}

/** As `plan`, of a recipe that is resolved already. */
export function planOf(configuration: Configuration, hosts = 1): Plan {
  const { name, towers, data, training } = configuration;
  const network = buildNetwork(configuration.network, towers, data.classes);
  const layers = network.layers.map((layer) => plannedLayer(network, layer, training.batch));
  if (towers > 1) layers.push(plannedLogits(network, training.batch));
  return {
    name,
    towers,
    classes: data.classes,
    input: network.input,
    batch: training.batch,
    layers,
    total: {
      parameters: network.parameterCount,
      parametersPerRank: heldByRank(network.parameters, towers),
      macs: network.macs,
      exchangedBytes: exchangedBytes(network, training.batch),
    },
    memoryPerRank: stepMemory(network, [0]),
    ...(hosts > 1 && {
      hosts: { count: hosts, parallelisms: planHosts(network, hosts, training.batch) },
    }),
  };
}

function plannedLayer(network: Network, layer: Layer, batch: number): PlannedLayer {
  const { specification } = layer;
  const own = isParameterised(specification) ? specification : null;
  const held = network.parameters.filter(({ name }) => layer.parameters.includes(name));
  const parameters = held.reduce((total, { shape }) => total + elements(shape), 0);
  return {
    name: layer.name,
    type: specification.type,
    kernels: own && held[0]!.shape[0]!,
    reads: readsOf(layer),
    output: layer.output,
    parameters,
    parametersPerRank: heldByRank(held, network.towers),
    macs: layer.macs,
    exchangedBytes: gatheredBytes(network, layer, batch),
  };
}

function readsOf({ index, specification }: Layer): PlannedLayer['reads'] {
  if (index === 0) return 'image';
  return 'reads' in specification ? (specification.reads ?? null) : null;
}

/** Parameters of the rank with the most. */
function heldByRank(parameters: Parameter[], towers: number): number {
  return parameters.reduce(
    (total, { shape: [outputs, ...rest] }) =>
      total + largestShare(outputs!, towers) * elements(rest),
    0,
  );
}

/** The gather before the softmax, which belongs to no layer. */
function plannedLogits(network: Network, batch: number): PlannedLayer {
  return {
    name: 'logits',
    type: 'logits',
    kernels: null,
    reads: 'all',
    output: { height: 1, width: 1, channels: network.classes },
    parameters: 0,
    parametersPerRank: 0,
    macs: 0,
    exchangedBytes: logitsBytes(network, batch),
  };
}
