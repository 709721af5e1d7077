/**
 * From a layer list to a network: every shape, parameter and cost, before anything is computed.
 *
 * Called by the commands (`plan`, validation), by the coordinator (slots of the exchange, checkpoint
 * layout) and by the tower workers (parameters, forward). Pure; no tensors.
 */
import type {
  ActivationShape,
  Initialization,
  LayerSpecification,
  NetworkSpecification,
} from './layers.js';

/** One parameter tensor in canonical form: the whole layer, in PyTorch's layout. */
export interface Parameter {
  /** `conv1.weight`, `fc3.bias` … */
  name: string;
  /** `conv1`, `fc3` … */
  layer: string;
  /**
   * Canonical shape over all towers: conv `[out, in/groups, kh, kw]`, fc `[out, in]` with `in` in C,H,W
   * order, bias `[out]`. A rank's share is a contiguous run of 1/T of the first axis.
   */
  shape: number[];
  /** Number of inputs that feed one output, for initialization. */
  fanIn: number;
  initialization: Initialization;
  learningRateMultiplier: number;
  weightDecayMultiplier: number;
}

/** A layer with the shapes that follow from those before it. */
export interface Layer {
  index: number;
  /** The layer's own name, or `type` + position among its type (`relu1`, `maxPool2`). */
  name: string;
  specification: LayerSpecification;
  /** What one rank reads of one image: its own tower's channels, or all towers' after a gather. */
  input: ActivationShape;
  /** What one rank produces of one image. */
  output: ActivationShape;
  /** True where the towers' activations are gathered before this layer (`reads: all` and T > 1). */
  gathers: boolean;
  /** Multiply-accumulates of one image forward, over all ranks. */
  macs: number;
  /** Names of the parameters, empty for layers without. */
  parameters: string[];
}

export interface Network {
  towers: number;
  classes: number;
  input: ActivationShape;
  layers: Layer[];
  parameters: Parameter[];
  /** Over all towers. */
  parameterCount: number;
  /** Multiply-accumulates of one image forward, over all ranks. */
  macs: number;
}

/**
 * @param specification checked by the schema already
 * @param towers T, a positive integer
 * @param classes units of a layer that says `classes`
 * @throws UserError naming the layer where T does not divide kernels or units, a window is larger than
 *   its input, a name is used twice, or the last layer with parameters is not the classes' fc layer
 */
export declare function buildNetwork(
  specification: NetworkSpecification,
  towers: number,
  classes: number,
): Network;

/**
 * Bytes that cross between ranks in one training step of the split placement, float32, each rank on its
 * own worker: what ranks read from others, forward (activations and logits) and backward.
 */
export declare function exchangedBytes(network: Network, batch: number): number;
