/**
 * The forward pass, written once for the list of ranks that a worker holds. Split, grouped and dense networks run this
 * same code; only the transport of the collectives differs.
 */
import * as tf from '@tensorflow/tfjs-core';
import {
  convolve,
  convolveAndPool,
  crossEntropy,
  dropoutMask,
  fullyConnect,
} from '../backend/fused.js';
import type { Activation } from '../backend/numerics.js';
import { CONVOLUTION_MAX_POOL, hasKernel } from '../backend/own_kernels.js';
import { convolveLocally } from '../backend/local.js';
import { localResponseNormalization, withinMapNormalization } from '../backend/lrn.js';
import { deriveKey, type Key } from '../random.js';
import type { Invariant, LayerInput, OwnChannels, Replicated } from './distribution.js';
import type { ConvLayer, DropoutLayer, LrnLayer, PoolLayer } from './layers.js';
import { isFollowedByRelu, poolOfFirst, poolPadOf } from './fusion.js';
import { beyondFarEdges, type Layer, type Network } from './network.js';
import { shareOfRank } from './shares.js';

/** One rank's parameters by canonical name, in computing layout. */
export type RankParameters = Map<string, tf.Tensor>;

/** The operations between ranks, forward and backward. `parallel/collectives.ts` implements them. */
export interface Collectives {
  /** This worker's ranks, ascending. */
  ranks: number[];
  /**
   * @param layer the layer that reads the result
   * @param own `[batch, …, channels / towers]` of each of this worker's ranks
   * @returns `[batch, …, channels]`: the channels of all ranks
   */
  gatherActivations(layer: string, own: OwnChannels[]): Replicated;
  /**
   * As `gatherActivations`, of the images of all hosts.
   *
   * @param own `[images of this host, …, channels / towers]` of each of this worker's ranks
   * @returns `[images of all hosts, …, channels]`
   */
  gatherImages(layer: string, own: OwnChannels[]): Replicated;
  /**
   * @param own `[batch, classes / towers]` of each of this worker's ranks
   * @returns `[batch, classes]`
   */
  gatherLogits(own: OwnChannels[]): Invariant<tf.Tensor2D>;
}

/** What dropout's masks are drawn from. Evaluation has none. */
export interface TrainingPosition {
  seed: number;
  step: number;
  /** Place of the first image in the batch: not 0 if those before it are computed elsewhere or before. */
  first: number;
  /** The same of the images of all hosts, which a layer computes that is divided among them. */
  firstOfHosts: number;
}

/** Computes one layer of one rank by calling `compute`. It may look at the input and the output. */
export type AroundLayer = (
  layer: Layer,
  rank: number,
  input: LayerInput,
  compute: (input: LayerInput) => OwnChannels,
) => OwnChannels;

const FLOAT32_LARGEST = 3.4028234e38;

/**
 * @param parameters of each rank of `collectives.ranks`
 * @param images `[batch, height, width, channels]` float32, normalized
 * @param training null leaves dropout out
 * @param around called for every layer of every rank, but not for a ReLU that the layer before it computes; nor, in
 *   training, for a pooling that the first layer computes
 * @returns `[batch, classes]` float32, the same on every worker
 */
export function forward(
  network: Network,
  parameters: RankParameters[],
  collectives: Collectives,
  images: Replicated<tf.Tensor4D>,
  training: TrainingPosition | null,
  around: AroundLayer = (_layer, _rank, input, compute) => compute(input),
): Invariant<tf.Tensor2D> {
  const { ranks } = collectives;
  const pool = training !== null && hasKernel(CONVOLUTION_MAX_POOL) ? poolOfFirst(network) : null;
  let activations: OwnChannels[] = [];
  for (const [index, layer] of network.layers.entries()) {
    if (layer === pool) continue;
    if (layer.specification.type === 'relu' && isFollowedByRelu(network, index - 1)) continue;
    let inputs: LayerInput[] = activations;
    if (index === 0) inputs = ranks.map(() => images);
    if (layer.gathers || layer.gathersImages) {
      const gathered = layer.gathersImages
        ? collectives.gatherImages(layer.name, activations)
        : collectives.gatherActivations(layer.name, activations);
      inputs = ranks.map(() => gathered);
    }
    const activation = isFollowedByRelu(network, index) ? 'relu' : 'linear';
    activations = inputs.map((input, own) => {
      const rank = ranks[own]!;
      const share = shareOfRank(rank, network.towers, layer.hosts);
      return around(layer, rank, input, (read) =>
        index === 0 && pool !== null
          ? convolveAndPoolFirst(layer, pool, read, parameters[own]!)
          : applyLayer(layer, read, parameters[own]!, training, share, activation),
      );
    });
  }
  return collectives.gatherLogits(activations);
}

/**
 * The mean softmax cross-entropy over the batch. Every worker computes the same one.
 *
 * @param logits `[batch, classes]`
 * @param labels `[batch]` int32
 * @returns scalar, nats
 */
export function lossOf(logits: Invariant<tf.Tensor2D>, labels: tf.Tensor1D): Invariant<tf.Scalar> {
  return crossEntropy(logits, labels) as Invariant<tf.Scalar>;
}

/** Number of images whose largest logit is the label's, float32. */
export function correctOf(logits: tf.Tensor2D, labels: tf.Tensor1D): tf.Scalar {
  return tf.tidy(() =>
    tf.sum<tf.Scalar>(tf.cast(tf.equal(tf.argMax(logits, 1), labels), 'float32')),
  );
}

function convolveAndPoolFirst(
  layer: Layer,
  pool: Layer,
  images: LayerInput,
  parameters: RankParameters,
): OwnChannels {
  const { size, stride } = pool.specification as PoolLayer;
  const { image, strides, pad } = padded(
    images as tf.Tensor4D,
    layer.specification as ConvLayer,
    layer,
  );
  const weight = weightOf(layer, parameters) as tf.Tensor4D;
  return convolveAndPool(image, weight, biasOf(layer, parameters) as tf.Tensor1D, {
    strides,
    pad,
    poolSize: size,
    poolStrides: stride,
    poolPad: poolPadOf(pool.specification as PoolLayer, pool)!,
  }) as OwnChannels;
}

/**
 * Computes one layer of one rank.
 *
 * @param input `[batch, …layer.input]` float32
 * @param rank the share of the layer that the rank holds
 * @param activation of a conv or fc layer, whose kernel computes it too; other layers ignore it
 * @returns `[batch, …layer.output]` float32
 */
export function applyLayer(
  layer: Layer,
  input: LayerInput,
  parameters: RankParameters,
  training: TrainingPosition | null,
  rank: number,
  activation: Activation = 'linear',
): OwnChannels {
  return computeLayer(layer, input, parameters, training, rank, activation) as OwnChannels;
}

function computeLayer(
  layer: Layer,
  input: tf.Tensor,
  parameters: RankParameters,
  training: TrainingPosition | null,
  rank: number,
  activation: Activation,
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
      return layer.gathers
        ? normalizedAcrossTowers(input as tf.Tensor4D, specification, layer, rank)
        : localResponseNormalization(input as tf.Tensor4D, specification);
    case 'rnorm':
      return withinMapNormalization(input as tf.Tensor4D, specification);
    case 'maxPool':
      return maxPool(input as tf.Tensor4D, specification, layer);
    case 'dropout':
      return training === null ? input : dropout(input, specification, training, rank, layer.hosts);
  }
}

/** Pads by copying, unless the gradient kernels' own padding, `same` or none, is equal to it. */
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

function maxPool(input: tf.Tensor4D, specification: PoolLayer, layer: Layer): tf.Tensor {
  const { size, stride } = specification;
  const pad = poolPadOf(specification, layer);
  if (pad !== null) return tf.maxPool(input, size, stride, pad);
  const [below, right] = beyondFarEdges(layer);
  const widths: [number, number][] = [
    [0, 0],
    [0, below],
    [0, right],
    [0, 0],
  ];
  return tf.maxPool(tf.pad(input, widths, -FLOAT32_LARGEST), size, stride, 'valid');
}

/**
 * Normalizes a rank's own channels with their neighbours in the other towers.
 *
 * @param input `[batch, height, width, channels]` of all towers
 * @returns `[batch, height, width, channels / towers]`
 */
function normalizedAcrossTowers(
  input: tf.Tensor4D,
  specification: LrnLayer,
  { input: { channels }, output: { channels: own } }: Layer,
  rank: number,
): tf.Tensor4D {
  const radius = (specification.size - 1) / 2;
  const begin = Math.max(0, rank * own - radius);
  const end = Math.min(channels, (rank + 1) * own + radius);
  const inReach = tf.slice(input, [0, 0, 0, begin], [-1, -1, -1, end - begin]);
  const normalized = localResponseNormalization(inReach, specification);
  return tf.slice(normalized, [0, 0, 0, rank * own - begin], [-1, -1, -1, own]);
}

/**
 * Zeroes each unit with probability `rate` and scales the others by 1/(1 − rate), as PyTorch does. Hosts that divide a
 * tower take their parts of its mask.
 */
function dropout(
  input: tf.Tensor,
  layer: DropoutLayer,
  position: TrainingPosition,
  rank: number,
  hosts: number,
): tf.Tensor {
  const { first, firstOfHosts } = position;
  const key = dropoutKey(layer, position, rank, hosts);
  const units = tf.util.sizeFromShape(input.shape.slice(1));
  if (hosts === 1) return tf.mul(input, dropoutMask(key, layer.rate, input.shape, first * units));
  const images = input.shape[0];
  const shape = [images, hosts * units];
  const ofTower = dropoutMask(key, layer.rate, shape, firstOfHosts * hosts * units);
  const own = tf.slice(ofTower, [0, (rank % hosts) * units], [images, units]);
  return tf.mul(input, tf.reshape(own, input.shape));
}

function dropoutKey(
  { name }: DropoutLayer,
  { seed, step }: TrainingPosition,
  rank: number,
  hosts: number,
): Key {
  return deriveKey(seed, 'dropout', step, name, Math.floor(rank / hosts));
}

/** The keys of the masks that `forward` makes, in the order in which it makes them. */
export function dropoutKeys(
  { layers, towers }: Network,
  ranks: readonly number[],
  position: TrainingPosition,
): Key[] {
  return layers.flatMap(({ specification, hosts }) =>
    specification.type === 'dropout'
      ? ranks.map((rank) =>
          dropoutKey(specification, position, shareOfRank(rank, towers, hosts), hosts),
        )
      : [],
  );
}

function weightOf(layer: Layer, parameters: RankParameters): tf.Tensor {
  return parameters.get(`${layer.name}.weight`)!;
}

function biasOf(layer: Layer, parameters: RankParameters): tf.Tensor {
  return parameters.get(`${layer.name}.bias`)!;
}
