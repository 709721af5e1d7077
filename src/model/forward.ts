/**
 * The forward pass, written once for the list of ranks that a worker holds: split, grouped and dense
 * networks run this same code, and only the collectives' transport differs. Called by the tower
 * worker, inside `tf.variableGrads` when training.
 */
import * as tf from '@tensorflow/tfjs';
import { convolve, dropoutMask, fullyConnect } from '../backend/fused.js';
import type { Activation } from '../backend/numerics.js';
import { convolveLocally } from '../backend/local.js';
import { localResponseNormalization, withinMapNormalization } from '../backend/lrn.js';
import { deriveKey } from '../random.js';
import type { ConvLayer, DropoutLayer, PoolLayer } from './layers.js';
import { beyondFarEdges, type Layer, type Network } from './network.js';

/** One rank's parameters by canonical name, in computing layout. */
export type RankParameters = Map<string, tf.Tensor>;

/** What crosses the boundary between ranks: `parallel/collectives.ts` says how, forward and backward. */
export interface Collectives {
  /** This worker's ranks, ascending. */
  ranks: number[];
  /** All ranks' channels, from this worker's ranks' `[batch, …, channels / towers]`. */
  gatherActivations(layer: string, own: tf.Tensor[]): tf.Tensor;
  /** `[batch, classes]`, from this worker's ranks' `[batch, classes / towers]`. */
  gatherLogits(own: tf.Tensor[]): tf.Tensor2D;
}

/** Where dropout draws its masks from; evaluation has none. */
export interface TrainingPosition {
  seed: number;
  step: number;
}

/**
 * Computes one layer of one rank by calling `compute`, and may look at what goes in and out: how a trace
 * and `visualize` see inside the network.
 */
export type AroundLayer = (
  layer: Layer,
  rank: number,
  input: tf.Tensor,
  compute: (input: tf.Tensor) => tf.Tensor,
) => tf.Tensor;

const FLOAT32_LARGEST = 3.4028234e38;

/**
 * @param parameters of each rank of `collectives.ranks`
 * @param images `[batch, height, width, channels]` float32, normalised
 * @param training null leaves dropout out
 * @param around called for every layer of every rank; a ReLU that its layer computes is part of that
 * @returns `[batch, classes]` float32, the same on every worker
 */
export function forward(
  network: Network,
  parameters: RankParameters[],
  collectives: Collectives,
  images: tf.Tensor4D,
  training: TrainingPosition | null,
  around: AroundLayer = (_layer, _rank, input, compute) => compute(input),
): tf.Tensor2D {
  let activations: tf.Tensor[] = collectives.ranks.map(() => images);
  for (const [index, layer] of network.layers.entries()) {
    if (layer.specification.type === 'relu' && isFollowedByRelu(network, index - 1)) continue;
    if (layer.gathers) {
      const gathered = collectives.gatherActivations(layer.name, activations);
      activations = collectives.ranks.map(() => gathered);
    }
    const activation = isFollowedByRelu(network, index) ? 'relu' : 'linear';
    activations = activations.map((input, own) => {
      const rank = collectives.ranks[own]!;
      return around(layer, rank, input, (read) =>
        applyLayer(layer, read, parameters[own]!, training, rank, activation),
      );
    });
  }
  return collectives.gatherLogits(activations);
}

/** Whether a ReLU comes straight after this layer's product, so that one kernel computes both. */
function isFollowedByRelu({ layers }: Network, index: number): boolean {
  const type = layers[index]?.specification.type;
  return (type === 'conv' || type === 'fc') && layers[index + 1]?.specification.type === 'relu';
}

/**
 * One layer of one rank: `[batch, …layer.input]` → `[batch, …layer.output]`.
 *
 * @param activation of a conv or fc layer, which computes it with its product; others ignore it
 */
export function applyLayer(
  layer: Layer,
  input: tf.Tensor,
  parameters: RankParameters,
  training: TrainingPosition | null,
  rank: number,
  activation: Activation = 'linear',
): tf.Tensor {
  const specification = layer.specification;
  switch (specification.type) {
    case 'conv': {
      const { strides, pad, image } = padded(input as tf.Tensor4D, specification, layer);
      const weight = weightOf(layer, parameters) as tf.Tensor4D;
      return convolve(
        image,
        weight,
        biasOf(layer, parameters) as tf.Tensor1D,
        strides,
        pad,
        activation,
      );
    }
    case 'local':
      return convolveLocally(
        input as tf.Tensor4D,
        weightOf(layer, parameters) as tf.Tensor3D,
        biasOf(layer, parameters) as tf.Tensor3D,
        specification,
      );
    case 'fc':
      return fullyConnect(
        tf.reshape<tf.Rank.R2>(input, [input.shape[0], -1]),
        weightOf(layer, parameters) as tf.Tensor2D,
        biasOf(layer, parameters) as tf.Tensor1D,
        activation,
      );
    case 'relu':
      return tf.relu(input);
    case 'lrn':
      return localResponseNormalization(input as tf.Tensor4D, specification);
    case 'rnorm':
      return withinMapNormalization(input as tf.Tensor4D, specification);
    case 'maxPool':
      return maxPool(input as tf.Tensor4D, specification, layer);
    case 'dropout':
      return training === null ? input : dropout(input, specification, training, rank);
  }
}

/** The gradient kernels know `same`, not explicit padding; where they are equal nothing is copied. */
function padded(
  image: tf.Tensor4D,
  { size, stride, pad }: ConvLayer,
  layer: Layer,
): { image: tf.Tensor4D; strides: number; pad: 'valid' | 'same' } {
  const [below, right] = beyondFarEdges(layer);
  if (stride === 1 && 2 * pad === size - 1) return { image, strides: 1, pad: 'same' };
  if (pad + below + right === 0) return { image, strides: stride, pad: 'valid' };
  const widths: [number, number][] = [
    [0, 0],
    [pad, pad + below],
    [pad, pad + right],
    [0, 0],
  ];
  return { image: tf.pad(image, widths), strides: stride, pad: 'valid' };
}

function maxPool(input: tf.Tensor4D, { size, stride }: PoolLayer, layer: Layer): tf.Tensor {
  const [below, right] = beyondFarEdges(layer);
  if (below + right === 0) return tf.maxPool(input, size, stride, 'valid');
  // A single row and column past the far edges is what 'same' pads with nothing, where windows overlap by no more.
  if (below === 1 && right === 1 && size <= stride + 1)
    return tf.maxPool(input, size, stride, 'same');
  const widths: [number, number][] = [
    [0, 0],
    [0, below],
    [0, right],
    [0, 0],
  ];
  return tf.maxPool(tf.pad(input, widths, -FLOAT32_LARGEST), size, stride, 'valid');
}

/** Zeroes a share `rate` of the units and scales the others by 1/(1 − rate), as PyTorch does. */
function dropout(
  input: tf.Tensor,
  layer: DropoutLayer,
  { seed, step }: TrainingPosition,
  rank: number,
): tf.Tensor {
  const key = deriveKey(seed, 'dropout', step, layer.name, rank);
  return tf.mul(input, dropoutMask(key, layer.rate, input.shape));
}

function weightOf(layer: Layer, parameters: RankParameters): tf.Tensor {
  return parameters.get(`${layer.name}.weight`)!;
}

function biasOf(layer: Layer, parameters: RankParameters): tf.Tensor {
  return parameters.get(`${layer.name}.bias`)!;
}
