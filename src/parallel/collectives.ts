/**
 * The operations that cross the boundary between towers. Everything else a tower does alone.
 *
 * All are differentiable (`tf.customGrad`), so one call of `tf.variableGrads` runs the whole forward and backward
 * pass. Each takes the tensors of this worker's ranks, ascending, and returns one tensor with all ranks' channels in
 * rank order, on every worker. If one worker holds all ranks, they are a plain concatenation; with one rank, the
 * identity. They differ in their gradients, and the types of `model/distribution.ts` tell them apart. Compare
 * Megatron-LM's `core/tensor_parallel/mappings.py`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { ADD_TO_CHANNELS, hasKernel } from '../backend/own_kernels.js';
import type { Invariant, OwnChannels, Replicated } from '../model/distribution.js';
import type { Collectives } from '../model/forward.js';
import { hostOf } from '../model/hybrid.js';
import type { Network } from '../model/network.js';
import { outputsOfRank } from '../model/shares.js';
import type { Exchange } from './exchange.js';

/**
 * The collectives of one worker, for the forward pass.
 *
 * @param images number of images of each host that has its own: see model/hybrid.ts
 */
export function collectivesOver(
  exchange: Exchange,
  network: Network,
  images: readonly number[] = [],
): Collectives {
  const { towers, hosts, classes, layers } = network;
  const all = exchange.allRanks;
  const host = hostOf(exchange.ranks[0]!, network);
  const here = hosts === 1 ? all : all.filter((rank) => hostOf(rank, network) === host);
  const among = new Map(layers.map((layer) => [layer.name, layer.hosts < hosts ? here : all]));
  return {
    ranks: exchange.ranks,
    gatherActivations: (layer, own) => gatherActivations(exchange, layer, own, among.get(layer)),
    gatherImages: (layer, own) => gatherImages(exchange, layer, own, towers, images),
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
 * @param own `[batch, …, channels / ranks]` float32 of each own rank
 * @param ranks that gather from each other, ascending: all, or those of this host of a hybrid
 * @returns `[batch, …, channels]`
 */
export function gatherActivations(
  exchange: Exchange,
  name: string,
  own: OwnChannels[],
  ranks: readonly number[] = exchange.allRanks,
): Replicated {
  if (own.length === ranks.length) return concatenate(own) as Replicated;
  return tf.customGrad((...inputs) => ({
    value: exchange.allGather(
      name,
      inputs.slice(0, own.length) as tf.Tensor[],
      () => own[0]!.shape,
      concatenate,
      ranks,
    ),
    gradFunc: (gradient: tf.Tensor) => reduceScatter(exchange, name, gradient, ranks),
  }))(...own) as Replicated;
}

/**
 * Gathers what the first fully-connected layer of a hybrid reads: the activations of the images of all hosts.
 *
 * - Forward: concatenates the channels of each host's ranks, then the images of all hosts.
 * - Backward: every worker has a term of the gradient of every image. A rank's own channels of its host's images get the
 *   sum of all workers' terms (reduce-scatter).
 *
 * @param name the layer that reads the result
 * @param own `[images of this host, …, channels / towers]` float32 of each own rank
 * @param images of each host
 * @returns `[images of all hosts, …, channels]`
 */
export function gatherImages(
  exchange: Exchange,
  name: string,
  own: OwnChannels[],
  towers: number,
  images: readonly number[],
): Replicated {
  const { shape } = own[0]!;
  const imagesOf = (gradient: tf.Tensor, rank: number): tf.Tensor => {
    const host = hostOf(rank, { towers });
    const first = images.slice(0, host).reduce((sum, count) => sum + count, 0);
    const begin = gradient.shape.map((_, axis) => (axis === 0 ? first : 0));
    return tf.slice(gradient, begin, gradient.shape.with(0, images[host]!));
  };
  return tf.customGrad((...inputs) => ({
    value: exchange.allGather(
      name,
      inputs.slice(0, own.length) as tf.Tensor[],
      (rank) => shape.with(0, images[hostOf(rank, { towers })]!),
      (blocks) => {
        const ofHost = (host: number): tf.Tensor[] =>
          blocks.slice(host * towers, (host + 1) * towers);
        return tf.concat(
          images.map((_, host) => concatenate(ofHost(host))),
          0,
        );
      },
    ),
    gradFunc: (gradient: tf.Tensor) =>
      exchange.reduceScatter(name, {
        shape,
        termFor: (rank) => channelsOf(imagesOf(gradient, rank), rank % towers, towers),
        combine: (rank, terms) =>
          plusChannels(imagesOf(gradient, rank), rank % towers, towers, terms),
      }),
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
  const { allRanks: ranks } = exchange;
  if (own.length === ranks.length) return concatenate(own) as Invariant<tf.Tensor2D>;
  const [batch] = own[0]!.shape as [number];
  return tf.customGrad((...inputs) => ({
    value: exchange.allGather(
      'logits',
      inputs.slice(0, own.length) as tf.Tensor[],
      (rank) => [batch, outputsOfRank(classes, rank, ranks.length).count],
      concatenate,
    ),
    gradFunc: (gradient: tf.Tensor) =>
      exchange.ranks.map((rank) => channelsOf(gradient, rank, ranks.length)),
  }))(...own) as Invariant<tf.Tensor2D>;
}

/**
 * Gathers the labels of the images of all hosts of a hybrid; elsewhere the identity.
 *
 * @param own int32 `[images of this host]`
 * @param images of each host
 * @returns int32 `[images of all hosts]`
 */
export function gatherLabels(
  exchange: Exchange,
  own: tf.Tensor1D,
  network: Network,
  images: readonly number[],
): tf.Tensor1D {
  if (network.hosts === 1) return own;
  return tf.tidy(() => {
    const values = tf.cast(own, 'float32');
    const all = exchange.allGather(
      'labels',
      exchange.ranks.map(() => values),
      (rank) => [images[hostOf(rank, network)]!],
      (blocks) => tf.concat(blocks),
      exchange.allRanks.filter((rank) => rank % network.towers === 0),
    );
    return tf.cast<tf.Tensor1D>(all as tf.Tensor1D, 'int32');
  });
}

/** The sum of all workers' terms, of each own rank's channels. @param gradient `[batch, …, channels]` */
function reduceScatter(
  exchange: Exchange,
  name: string,
  gradient: tf.Tensor,
  ranks: readonly number[],
): tf.Tensor[] {
  const { length } = ranks;
  return exchange.reduceScatter(name, {
    ranks,
    shape: gradient.shape.with(-1, gradient.shape.at(-1)! / length),
    termFor: (rank) => channelsOf(gradient, ranks.indexOf(rank), length),
    combine: (rank, terms) => plusChannels(gradient, ranks.indexOf(rank), length, terms),
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
