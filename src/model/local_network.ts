/** A network whose towers all compute in the calling thread, for single images: in a page, or for a picture. */
import * as tf from '@tensorflow/tfjs-core';
import type { Invariant, OwnChannels, Replicated } from './distribution.js';
import { forward } from './forward.js';
import { isFollowedByRelu } from './fusion.js';
import type { AroundLayer, Collectives, RankParameters } from './forward.js';
import { isParameterised } from './network.js';
import type { Layer, Network } from './network.js';
import { layerOf, shareOf, toComputingLayout } from './parameters.js';

/**
 * Called with what a layer with parameters puts out after its ReLU. The tensor lives until the call returns.
 *
 * @param output `[batch, height, width, channels / towers]` or `[batch, units / towers]`
 */
export type Watch = (layer: string, rank: number, output: tf.Tensor) => void;

export class LocalNetwork {
  private readonly parameters: RankParameters[];
  private readonly collectives: Collectives;

  /** @param values float32 of each parameter, in canonical layout */
  constructor(
    private readonly network: Network,
    values: (parameter: string) => Float32Array,
  ) {
    const { towers, parameters } = network;
    const ranks = Array.from({ length: towers }, (_, rank) => rank);
    this.parameters = ranks.map(
      (rank) =>
        new Map(
          parameters.map((parameter) => {
            const { shape, start, length } = shareOf(parameter, rank, towers);
            const share = values(parameter.name).subarray(start, start + length);
            return [parameter.name, toComputingLayout(layerOf(network, parameter), shape, share)];
          }),
        ),
    );
    const gather = (_layer: string, own: OwnChannels[]) => joined(own) as unknown as Replicated;
    this.collectives = {
      ranks,
      gatherActivations: gather,
      // All images are here.
      gatherImages: gather,
      gatherLogits: (own) => joined(own) as unknown as Invariant<tf.Tensor2D>,
    };
  }

  /**
   * @param images `[batch, height, width, channels]` float32, normalized
   * @returns the logits, `[batch, classes]`
   */
  compute(images: tf.Tensor4D, watch: Watch): Float32Array {
    const { network, parameters, collectives } = this;
    const around: AroundLayer = (layer, rank, input, compute) => {
      const output = compute(input);
      const name = this.rectified(layer);
      if (name !== null) watch(name, rank, output);
      return output;
    };
    return tf.tidy(() => {
      const whole = images as Replicated<tf.Tensor4D>;
      return forward(network, parameters, collectives, whole, null, around)
        .dataSync<'float32'>()
        .slice();
    });
  }

  /** The layer whose outputs have passed their ReLU when `layer` has computed; null if it is none. */
  private rectified({ index, name, specification }: Layer): string | null {
    if (isFollowedByRelu(this.network, index)) return name;
    if (specification.type !== 'relu') return null;
    const before = this.network.layers.slice(0, index).reverse();
    return before.find((layer) => isParameterised(layer.specification))!.name;
  }
}

/** All towers' channels. */
function joined(own: OwnChannels[]): tf.Tensor {
  return own.length === 1 ? own[0]! : tf.concat(own, -1);
}
