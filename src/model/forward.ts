/**
 * The forward pass, written once for the list of ranks that a worker holds: split, grouped and dense
 * networks run this same code, and only the collectives' transport differs. Called by the tower
 * worker, inside `tf.variableGrads` when training.
 */
import * as tf from '@tensorflow/tfjs';
import { localResponseNormalization } from '../backend/lrn.js';
import { deriveKey, fillDropoutMask } from '../random.js';
import type { ConvLayer, DropoutLayer, PoolLayer } from './layers.js';
import type { Layer, Network } from './network.js';

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
 * @param parameters of each rank of `collectives.ranks`
 * @param images `[batch, height, width, channels]` float32, normalised
 * @param training null leaves dropout out
 * @returns `[batch, classes]` float32, the same on every worker
 */
export function forward(
  network: Network,
  parameters: RankParameters[],
  collectives: Collectives,
  images: tf.Tensor4D,
  training: TrainingPosition | null,
): tf.Tensor2D {
  let activations: tf.Tensor[] = collectives.ranks.map(() => images);
  for (const layer of network.layers) {
    if (layer.gathers) {
      const gathered = collectives.gatherActivations(layer.name, activations);
      activations = collectives.ranks.map(() => gathered);
    }
    activations = activations.map((input, index) =>
      applyLayer(layer, input, parameters[index]!, training, collectives.ranks[index]!),
    );
  }
  return collectives.gatherLogits(activations);
}

/** One layer of one rank: `[batch, …layer.input]` → `[batch, …layer.output]`. */
export function applyLayer(
  layer: Layer,
  input: tf.Tensor,
  parameters: RankParameters,
  training: TrainingPosition | null,
  rank: number,
): tf.Tensor {
  const specification = layer.specification;
  switch (specification.type) {
    case 'conv':
      return tf.add(
        convolve(input as tf.Tensor4D, weightOf(layer, parameters) as tf.Tensor4D, specification),
        biasOf(layer, parameters),
      );
    case 'fc':
      return tf.add(
        tf.matMul(input.reshape([input.shape[0], -1]), weightOf(layer, parameters) as tf.Tensor2D),
        biasOf(layer, parameters),
      );
    case 'relu':
      return tf.relu(input);
    case 'lrn':
      return localResponseNormalization(input as tf.Tensor4D, specification);
    case 'maxPool':
      return maxPool(input as tf.Tensor4D, specification);
    case 'dropout':
      return training === null ? input : dropout(input, specification, training, rank);
  }
}

function convolve(
  input: tf.Tensor4D,
  weight: tf.Tensor4D,
  { size, stride, pad }: ConvLayer,
): tf.Tensor {
  if (pad === 0) return tf.conv2d(input, weight, stride, 'valid');
  // The gradient kernels know `same`, not explicit padding; where they are equal nothing is copied.
  if (stride === 1 && 2 * pad === size - 1) return tf.conv2d(input, weight, 1, 'same');
  const padded = tf.pad(input, [
    [0, 0],
    [pad, pad],
    [pad, pad],
    [0, 0],
  ]);
  return tf.conv2d(padded, weight, stride, 'valid');
}

function maxPool(input: tf.Tensor4D, { size, stride }: PoolLayer): tf.Tensor {
  return tf.maxPool(input, size, stride, 'valid');
}

/** Zeroes a share `rate` of the units and scales the others by 1/(1 − rate), as PyTorch does. */
function dropout(
  input: tf.Tensor,
  layer: DropoutLayer,
  { seed, step }: TrainingPosition,
  rank: number,
): tf.Tensor {
  const mask = new Float32Array(input.size);
  fillDropoutMask(deriveKey(seed, 'dropout', step, layer.name, rank), layer.rate, mask);
  return tf.mul(input, tf.tensor(mask, input.shape, 'float32'));
}

function weightOf(layer: Layer, parameters: RankParameters): tf.Tensor {
  return parameters.get(`${layer.name}.weight`)!;
}

function biasOf(layer: Layer, parameters: RankParameters): tf.Tensor {
  return parameters.get(`${layer.name}.bias`)!;
}

/**
 * Mean softmax cross-entropy over the batch.
 *
 * @param logits `[batch, classes]`
 * @param labels `[batch]` int32
 * @returns scalar, nats
 */
export function crossEntropy(logits: tf.Tensor2D, labels: tf.Tensor1D): tf.Scalar {
  const [batch, classes] = logits.shape;
  const oneHot = tf.cast(tf.oneHot(labels, classes), 'float32');
  return tf.div(tf.neg(tf.sum(tf.mul(oneHot, tf.logSoftmax(logits)))), batch);
}
