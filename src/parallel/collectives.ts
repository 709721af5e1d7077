/**
 * The two operations that cross the boundary between towers. Everything else a tower does alone.
 *
 * Both are differentiable (`tf.customGrad`), so one call of `tf.variableGrads` runs the whole forward and backward
 * pass. Each takes the tensors of this worker's ranks, ascending, and returns one tensor with all ranks' channels in
 * rank order, on every worker. If one worker holds all ranks, both are a plain concatenation; with one rank, the
 * identity. They differ in their gradients, and the types of `model/distribution.ts` tell them apart. Compare
 * Megatron-LM's `core/tensor_parallel/mappings.py`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { ADD_TO_CHANNELS, hasKernel } from '../backend/own_kernels.js';
import type { Invariant, OwnChannels, Replicated } from '../model/distribution.js';
import type { Collectives } from '../model/forward.js';
import { outputsOfRank } from '../model/shares.js';
import type { Exchange } from './exchange.js';

/** The collectives of one worker, for the forward pass. */
export function collectivesOver(exchange: Exchange, classes: number): Collectives {
  return {
    ranks: exchange.ranks,
    gatherActivations: (layer, own) => gatherActivations(exchange, layer, own),
    gatherLogits: (own) => gatherLogits(exchange, own, classes),
  };
}

/**
 * Gathers what conv3 and the fully-connected layers read.
 *
 * - Forward: concatenates all ranks' channels (all-gather).
 * - Backward: every worker has a term of the gradient of every channel. A rank's own channels get the sum of all
 *   workers' terms (reduce-scatter).
 *
 * @param name the layer that reads the result
 * @param own `[batch, …, channels / towers]` float32 of each own rank
 * @returns `[batch, …, channels]`
 */
export function gatherActivations(
  exchange: Exchange,
  name: string,
  own: OwnChannels[],
): Replicated {
  if (exchange.workers.length === 1) return concatenate(own) as Replicated;
  return tf.customGrad((...inputs) => ({
    value: exchange.allGather(
      name,
      inputs.slice(0, own.length) as tf.Tensor[],
      () => own[0]!.shape.at(-1)!,
      concatenate,
    ),
    gradFunc: (gradient: tf.Tensor) => reduceScatter(exchange, name, gradient),
  }))(...own) as Replicated;
}

/**
 * Gathers the logits before the softmax.
 *
 * - Forward: concatenates all ranks' logits. Every worker then computes the same loss.
 * - Backward: takes one's own slice. The other workers' gradients of it are copies of this one, not terms of a sum:
 *   adding them would count the loss once per worker.
 *
 * @param own `[batch, classes of the rank]` float32 of each own rank
 * @param classes over all ranks
 * @returns `[batch, classes]`
 */
export function gatherLogits(
  exchange: Exchange,
  own: OwnChannels[],
  classes: number,
): Invariant<tf.Tensor2D> {
  if (exchange.workers.length === 1) return concatenate(own) as Invariant<tf.Tensor2D>;
  return tf.customGrad((...inputs) => ({
    value: exchange.allGather(
      'logits',
      inputs.slice(0, own.length) as tf.Tensor[],
      (rank) => outputsOfRank(classes, rank, exchange.towers).count,
      concatenate,
    ),
    gradFunc: (gradient: tf.Tensor) =>
      exchange.ranks.map((rank) => channelsOf(gradient, rank, exchange.towers)),
  }))(...own) as Invariant<tf.Tensor2D>;
}

/** The sum of all workers' terms, of each own rank's channels. @param gradient `[batch, …, channels]` */
function reduceScatter(exchange: Exchange, name: string, gradient: tf.Tensor): tf.Tensor[] {
  const { towers } = exchange;
  return exchange.reduceScatter(name, {
    shape: gradient.shape.with(-1, gradient.shape.at(-1)! / towers),
    termFor: (rank) => channelsOf(gradient, rank, towers),
    combine: (rank, terms) => plusChannels(gradient, rank, towers, terms),
  });
}

function concatenate(blocks: tf.Tensor[]): tf.Tensor {
  return blocks.length === 1 ? tf.clone(blocks[0]!) : tf.concat(blocks, -1);
}

/** The channels of `rank` plus `terms`, at least one. */
function plusChannels(
  tensor: tf.Tensor,
  rank: number,
  towers: number,
  [term, ...others]: tf.Tensor[],
): tf.Tensor {
  const first = (rank * tensor.shape.at(-1)!) / towers;
  const sum: tf.Tensor = hasKernel(ADD_TO_CHANNELS)
    ? tf.engine().runKernel(ADD_TO_CHANNELS, { all: tensor, term: term! }, { first })
    : tf.add(channelsOf(tensor, rank, towers), term!);
  return others.length === 0 ? sum : tf.addN([sum, ...others]);
}

/** The channels of `rank`: its run of the last axis. */
function channelsOf(tensor: tf.Tensor, rank: number, towers: number): tf.Tensor {
  const { first, count } = outputsOfRank(tensor.shape.at(-1)!, rank, towers);
  const begin = tensor.shape.map((_, axis) => (axis === tensor.rank - 1 ? first : 0));
  return tf.slice(tensor, begin, tensor.shape.with(-1, count));
}
