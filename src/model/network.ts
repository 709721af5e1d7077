/**
 * From a layer list to a network: every shape, parameter and cost, before anything is computed. Pure; no tensors.
 * A layer list that makes no network is refused with a `UserError` that names the layer.
 */
import { UserError } from '../errors.js';
import type {
  ActivationShape,
  ConvLayer,
  FullyConnectedLayer,
  Initialization,
  LayerSpecification,
  LocalLayer,
  NetworkSpecification,
  PoolLayer,
} from './layers.js';
import { largestShare } from './shares.js';

/** One parameter tensor in canonical form: the whole layer, in PyTorch's layout. */
export interface Parameter {
  /** `conv1.weight`, `fc3.bias` … */
  name: string;
  /** `conv1`, `fc3` … */
  layer: string;
  /**
   * Canonical shape over all towers: conv `[out, in/groups, kh, kw]`, fc `[out, in]` with `in` in C,H,W
   * order, bias `[out]`; local `[out, height, width, in/groups, kh, kw]` and bias `[out, height, width]` for
   * the positions of its output. A rank's share is a contiguous run of the first axis: see shares.ts.
   */
  shape: number[];
  /** Number of inputs that feed one output, for initialization. */
  fanIn: number;
  initialization: Initialization;
  learningRateMultiplier: number;
  /** Whether its learning rate follows the run's schedule. */
  followsSchedule: boolean;
  weightDecayMultiplier: number;
  /** Hosts among which it is divided, besides the towers: see hybrid.ts. */
  hosts: number;
}

/** A layer with the shapes that follow from the layers before it. */
export interface Layer {
  index: number;
  /** The layer's own name, or its type and its position among the layers of that type (`relu1`, `maxPool2`). */
  name: string;
  specification: LayerSpecification;
  /**
   * What one rank reads of one image: its own tower's channels, or all towers' after a gather. The first layer reads
   * the whole image.
   */
  input: ActivationShape;
  /** What one rank produces of one image; of the last layer, the rank with the most classes. */
  output: ActivationShape;
  /** Whether the towers' activations are gathered before this layer (`reads: all` and T > 1). */
  gathers: boolean;
  /** Whether the activations of all hosts' images are gathered before this layer: see hybrid.ts. */
  gathersImages: boolean;
  /** Hosts among which it is divided, besides the towers. */
  hosts: number;
  /** Multiply-accumulates of one image forward, over all ranks. Every rank does 1/T of them. */
  macs: number;
  /** Names of the layer's parameters; empty if it has none. */
  parameters: string[];
}

export interface Network {
  towers: number;
  /** Hosts among which the fully-connected layers are divided, besides the towers; 1 but in a hybrid. */
  hosts: number;
  classes: number;
  input: ActivationShape;
  layers: Layer[];
  parameters: Parameter[];
  /** Over all towers. Every rank holds 1/T of them. */
  parameterCount: number;
  /** Multiply-accumulates of one image forward, over all ranks. Every rank does 1/T of them. */
  macs: number;
}

const FLOAT32_BYTES = 4;

/**
 * Builds the network.
 *
 * @param specification valid by the schema
 * @param towers T, a positive integer
 * @param classes number of units of a layer with units `classes`
 * @throws UserError that names the layer, if T does not divide its kernels or units or exceeds the classes, its window is larger than its
 *   input, its name is used twice, it is the first and has no parameters or does not read all (every rank sees the
 *   image), or it is the last and not an fc layer with units `classes`
 */
export function buildNetwork(
  specification: NetworkSpecification,
  towers: number,
  classes: number,
): Network {
  const names = layerNames(specification.layers);
  checkEnds(specification.layers, names);
  checkDivisible(specification.layers, names, towers, classes);
  const layers: Layer[] = [];
  const parameters: Parameter[] = [];
  let previous = specification.input;
  for (const [index, layer] of specification.layers.entries()) {
    const name = names[index]!;
    const gathers = towers > 1 && index > 0 && 'reads' in layer && layer.reads === 'all';
    const input = gathers ? { ...previous, channels: previous.channels * towers } : previous;
    const output = outputOf(layer, name, input, towers, classes);
    const held = isParameterised(layer) ? parametersOf(layer, input, output, classes) : [];
    parameters.push(...held);
    layers.push({
      index,
      name,
      specification: layer,
      input,
      output,
      gathers,
      gathersImages: false,
      hosts: 1,
      macs: isParameterised(layer) ? macsOf(layer, held[0], output, classes) : 0,
      parameters: held.map((parameter) => parameter.name),
    });
    previous = output;
  }
  return {
    towers,
    hosts: 1,
    classes,
    input: specification.input,
    layers,
    parameters,
    parameterCount: sum(parameters.map((parameter) => elements(parameter.shape))),
    macs: sum(layers.map((layer) => layer.macs)),
  };
}

/** Multiply-accumulates of one image forward, over all ranks. */
function macsOf(
  layer: ParameterisedLayer,
  { fanIn }: Parameter,
  { height, width }: ActivationShape,
  classes: number,
): number {
  return fanIn * height * width * outputsOf(layer, classes);
}

/** Number of elements of a tensor of this shape. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/**
 * Bytes that ranks read from other ranks in one training step, forward (activations and logits) and backward, in
 * float32 with each rank on its own worker.
 */
export function exchangedBytes(network: Network, batch: number): number {
  const activations = network.layers.map((layer) => gatheredBytes(network, layer, batch));
  return sum(activations) + logitsBytes(network, batch);
}

/**
 * A layer's part of `exchangedBytes`; 0 if it gathers nothing. Forward, each rank reads T − 1 blocks of the layer's
 * input, one per other rank. Backward, it reads T − 1 blocks of gradient for its own channels.
 */
export function gatheredBytes(network: Network, layer: Layer, batch: number): number {
  if (!layer.gathers) return 0;
  const { height, width, channels } = layer.input;
  const block = (batch * height * width * channels * FLOAT32_BYTES) / network.towers;
  return 2 * network.towers * (network.towers - 1) * block;
}

/** The logits' part of `exchangedBytes`: forward only, because each rank has their whole gradient. */
export function logitsBytes(network: Network, batch: number): number {
  return (network.towers - 1) * batch * network.classes * FLOAT32_BYTES;
}

type ParameterisedLayer = ConvLayer | LocalLayer | FullyConnectedLayer;

/** Whether a layer has parameters, and so kernels or units that the towers divide. */
export function isParameterised(layer: LayerSpecification): layer is ParameterisedLayer {
  return 'weight' in layer;
}

/** The layers' names; see `Layer.name`. */
function layerNames(layers: readonly LayerSpecification[]): string[] {
  const counts = new Map<string, number>();
  const names = layers.map((layer) => {
    const count = (counts.get(layer.type) ?? 0) + 1;
    counts.set(layer.type, count);
    return 'name' in layer ? layer.name : `${layer.type}${count}`;
  });
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) {
    throw new UserError(`layer ${repeated}: two layers have this name; rename one of them`);
  }
  return names;
}

/** Refuses a first layer that cannot read the image, and a last layer that does not give the logits. */
function checkEnds(layers: readonly LayerSpecification[], names: readonly string[]): void {
  const first = layers[0];
  const last = layers.at(-1);
  if (first === undefined || last === undefined) {
    throw new UserError('network.layers is empty; give at least one fc layer with units "classes"');
  }
  if (!isParameterised(first) || first.reads !== 'all') {
    throw new UserError(
      `layer ${names[0]}: the first layer must be a conv, local or fc with reads "all", as every tower sees the whole image`,
    );
  }
  if (last.type !== 'fc' || last.units !== 'classes') {
    throw new UserError(`layer ${names.at(-1)}: the last layer must be an fc with units "classes"`);
  }
}

/** Refuses kernels and units that the towers do not divide evenly, and more towers than classes. */
function checkDivisible(
  layers: readonly LayerSpecification[],
  names: readonly string[],
  towers: number,
  classes: number,
): void {
  let common = 0;
  let culprit: string | undefined;
  // Of the last layer, ranks may hold one class more or less.
  for (const [index, layer] of layers.slice(0, -1).entries()) {
    if (!isParameterised(layer)) continue;
    const outputs = outputsOf(layer, classes);
    common = greatestCommonDivisor(common, outputs);
    if (outputs % towers !== 0) {
      const noun = layer.type === 'fc' ? 'units' : 'kernels';
      culprit ??= `layer ${names[index]}: ${outputs} ${noun} cannot be divided among ${towers} towers`;
    }
  }
  if (culprit !== undefined) {
    const most = Math.min(common, classes);
    const possible = Array.from({ length: most }, (_, index) => index + 1).filter(
      (divisor) => common % divisor === 0,
    );
    throw new UserError(`${culprit}; towers that divide every layer: ${possible.join(', ')}`);
  }
  if (towers > classes) {
    throw new UserError(
      `layer ${names.at(-1)}: ${classes} classes cannot be divided among ${towers} towers; use at most ${classes}`,
    );
  }
}

/** Kernels or units over all towers. */
function outputsOf(layer: ParameterisedLayer, classes: number): number {
  if (layer.type !== 'fc') return layer.kernels;
  return layer.units === 'classes' ? classes : layer.units;
}

/** What one rank produces of one image. */
function outputOf(
  layer: LayerSpecification,
  name: string,
  input: ActivationShape,
  towers: number,
  classes: number,
): ActivationShape {
  switch (layer.type) {
    case 'conv':
      return { ...windowed(name, input, layer), channels: layer.kernels / towers };
    case 'local':
      return {
        ...windowed(name, input, { ...layer, stride: 1 }),
        channels: layer.kernels / towers,
      };
    case 'maxPool':
      return { ...windowed(name, input, { ...layer, pad: 0 }), channels: input.channels };
    case 'fc':
      return { height: 1, width: 1, channels: largestShare(outputsOf(layer, classes), towers) };
    case 'lrn':
      return layer.reads === 'all' ? { ...input, channels: input.channels / towers } : input;
    default:
      return input;
  }
}

/** Number of positions of a square window, as PyTorch's Conv2d and MaxPool2d count them. */
function windowed(
  name: string,
  input: ActivationShape,
  { size, stride, pad, ceil = false }: Pick<ConvLayer, 'size' | 'stride' | 'pad' | 'ceil'>,
): { height: number; width: number } {
  const height = input.height + 2 * pad;
  const width = input.width + 2 * pad;
  if (size > Math.min(height, width)) {
    const padded = pad > 0 ? ` with pad ${pad}` : '';
    throw new UserError(
      `layer ${name}: window ${size}×${size} is larger than its input ${input.height}×${input.width}${padded}; make it smaller or the network's input larger`,
    );
  }
  const positions = (extent: number): number => {
    if (!ceil) return Math.floor((extent - size) / stride) + 1;
    const count = Math.ceil((extent - size) / stride) + 1;
    // A last window must begin inside the input or its near padding, else it would see nothing.
    return (count - 1) * stride >= extent - pad ? count - 1 : count;
  };
  return { height: positions(height), width: positions(width) };
}

/** Rows and columns by which the last windows of a conv or pool extend past the padded input: 0 unless it rounds up. */
export function beyondFarEdges({ specification, input, output }: Layer): [number, number] {
  const { size, stride, pad } = { pad: 0, ...(specification as ConvLayer | PoolLayer) };
  const beyond = (inputs: number, outputs: number): number =>
    Math.max(0, (outputs - 1) * stride + size - inputs - 2 * pad);
  return [beyond(input.height, output.height), beyond(input.width, output.width)];
}

/** A layer's weight and bias. @param input what one rank reads @param output what it produces */
function parametersOf(
  layer: ParameterisedLayer,
  input: ActivationShape,
  output: ActivationShape,
  classes: number,
): [Parameter, Parameter] {
  const kernel =
    layer.type === 'fc'
      ? [input.channels * input.height * input.width]
      : [input.channels, layer.size, layer.size];
  const places = layer.type === 'local' ? [output.height, output.width] : [];
  const outputs = [outputsOf(layer, classes), ...places];
  const fanIn = elements(kernel);
  const parameter = (role: 'weight' | 'bias', shape: number[]): Parameter => ({
    name: `${layer.name}.${role}`,
    layer: layer.name,
    shape,
    fanIn,
    initialization: layer[role].initialization,
    learningRateMultiplier: layer[role].learningRate ?? 1,
    followsSchedule: layer[role].followsSchedule ?? true,
    weightDecayMultiplier: layer[role].weightDecay ?? 1,
    hosts: 1,
  });
  return [parameter('weight', [...outputs, ...kernel]), parameter('bias', outputs)];
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
