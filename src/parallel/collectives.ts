/**
 * The two operations that cross the boundary between towers. Everything else a tower does alone.
 *
 * Each is differentiable (`tf.customGrad`), so the whole forward and backward pass is one call of
 * `tf.variableGrads`. Each takes the activations of this worker's own ranks, ascending, and returns
 * one tensor with all ranks' channels in rank order, on every worker. Where one worker holds all ranks
 * both are a plain concatenation; with one rank, the identity. Compare Megatron-LM's
 * `core/tensor_parallel/mappings.py`.
 */
import * as tf from '@tensorflow/tfjs';
import { ADD_TO_CHANNELS, hasKernel } from '../backend/own_kernels.js';
import type { Collectives } from '../model/forward.js';
import type { Exchange } from './slots.js';

/** The collectives of one worker, for the forward pass. */
export function collectivesOver(exchange: Exchange): Collectives {
  return {
    ranks: exchange.ranks,
    gatherActivations: (layer, own) => gatherActivations(exchange, layer, own),
    gatherLogits: (own) => gatherLogits(exchange, own),
  };
}

/**
 * Before conv3 and the fully-connected layers.
 *
 * - Forward: concatenate all ranks' channels (all-gather).
 * - Backward: every worker uses the result, so each has a gradient for every channel. A rank's own
 *   channels get the sum over workers (reduce-scatter).
 *
 * @param name the layer that reads the result
 * @param own `[batch, …, channels / towers]` float32 of each own rank
 * @returns `[batch, …, channels]`
 */
export function gatherActivations(exchange: Exchange, name: string, own: tf.Tensor[]): tf.Tensor {
  if (exchange.workers.length === 1) return concatenate(own);
  return tf.customGrad((...inputs) => ({
    value: allGather(exchange, name, inputs.slice(0, own.length) as tf.Tensor[]),
    gradFunc: (gradient: tf.Tensor) => reduceScatter(exchange, name, gradient),
  }))(...own);
}

/**
 * Before the softmax.
 *
 * - Forward: concatenate all ranks' logits. Every worker then computes the same loss.
 * - Backward: one's own slice. The other workers' gradients of it are copies of this one, not further
 *   terms of a sum: adding them would count the loss once a worker.
 *
 * @param own `[batch, classes / towers]` float32 of each own rank
 * @returns `[batch, classes]`
 */
export function gatherLogits(exchange: Exchange, own: tf.Tensor[]): tf.Tensor2D {
  if (exchange.workers.length === 1) return concatenate(own) as tf.Tensor2D;
  return tf.customGrad((...inputs) => ({
    value: allGather(exchange, 'logits', inputs.slice(0, own.length) as tf.Tensor[]),
    gradFunc: (gradient: tf.Tensor) =>
      exchange.ranks.map((rank) => channelsOf(gradient, rank, exchange.towers)),
  }))(...own) as tf.Tensor2D;
}

function allGather(exchange: Exchange, name: string, own: tf.Tensor[]): tf.Tensor {
  own.forEach((tensor, index) => {
    exchange.copying(name, () => exchange.publish(tensor, name, 'forward', exchange.ranks[index]!));
  });
  const shape = own[0]!.shape;
  const blocks: tf.Tensor[] = [];
  for (let rank = 0; rank < exchange.towers; rank++) {
    const index = exchange.ranks.indexOf(rank);
    blocks.push(
      index >= 0
        ? own[index]!
        : tf.tensor(exchange.read(own[0]!.size, name, 'forward', rank), shape, 'float32'),
    );
  }
  return exchange.copying(name, () => concatenate(blocks));
}

function reduceScatter(exchange: Exchange, name: string, gradient: tf.Tensor): tf.Tensor[] {
  for (let rank = 0; rank < exchange.towers; rank++) {
    if (exchange.ranks.includes(rank)) continue;
    exchange.copying(name, () => {
      const block = channelsOf(gradient, rank, exchange.towers);
      exchange.publish(block, name, 'backward', exchange.worker, rank);
      block.dispose();
    });
  }
  const shape = gradient.shape.with(-1, gradient.shape.at(-1)! / exchange.towers);
  return exchange.ranks.map((rank) => {
    const terms: tf.Tensor[] = [];
    for (let worker = 0; worker < exchange.workers.length; worker++) {
      if (worker === exchange.worker) continue;
      const length = tf.util.sizeFromShape(shape);
      const values = exchange.read(length, name, 'backward', worker, rank);
      terms.push(tf.tensor(values, shape, 'float32'));
    }
    return exchange.copying(name, () => plusChannels(gradient, rank, exchange.towers, terms));
  });
}

function concatenate(blocks: tf.Tensor[]): tf.Tensor {
  return blocks.length === 1 ? tf.clone(blocks[0]!) : tf.concat(blocks, -1);
}

/** The channels of `rank` plus `terms`, of which there is at least one. */
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

/** The channels of `rank`: the rank-th of `towers` equal runs of the last axis. */
function channelsOf(tensor: tf.Tensor, rank: number, towers: number): tf.Tensor {
  const channels = tensor.shape.at(-1)! / towers;
  const begin = tensor.shape.map((_, axis) => (axis === tensor.rank - 1 ? rank * channels : 0));
  const size = tensor.shape.map((length, axis) => (axis === tensor.rank - 1 ? channels : length));
  return tf.slice(tensor, begin, size);
}
