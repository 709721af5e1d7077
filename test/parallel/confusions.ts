/**
 * Confusions of one kind of tensor with another, none of which may compile. The compiler is the test: `tsc` reports
 * a `@ts-expect-error` line that has no error. Nothing here runs.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Invariant, OwnChannels, Replicated } from '../../src/model/distribution.js';
import { applyLayer, forward, lossOf } from '../../src/model/forward.js';
import type { Collectives, RankParameters } from '../../src/model/forward.js';
import type { Layer, Network } from '../../src/model/network.js';

export function confuse(
  collectives: Collectives,
  tensors: {
    own: OwnChannels;
    replicated: Replicated;
    invariant: Invariant<tf.Tensor2D>;
    plain: tf.Tensor4D;
  },
  labels: tf.Tensor1D,
  layer: Layer,
  parameters: RankParameters,
): void {
  const { own, replicated, invariant, plain } = tensors;

  // @ts-expect-error every worker would compute a loss of its own channels alone
  lossOf(own, labels);
  // @ts-expect-error the gradient of gathered activations is a sum: the loss would be counted once per worker
  lossOf(collectives.gatherActivations('fc8', [own]), labels);
  // @ts-expect-error as above, of the images of all hosts
  lossOf(collectives.gatherImages('fc6', [own]), labels);
  // @ts-expect-error a tensor of no kind may be any of them
  lossOf(plain, labels);

  // @ts-expect-error one's own slice of the gradient would lack the other workers' terms
  applyLayer(layer, collectives.gatherLogits([own]), parameters, null, 0);
  // @ts-expect-error as above
  applyLayer(layer, invariant, parameters, null, 0);
  // @ts-expect-error a tensor of no kind may be any of them
  applyLayer(layer, plain, parameters, null, 0);

  // @ts-expect-error gathered already
  collectives.gatherActivations('fc8', [replicated]);
  // @ts-expect-error gathered already
  collectives.gatherActivations('fc8', [invariant]);
  // @ts-expect-error gathered already
  collectives.gatherImages('fc6', [replicated]);
  // @ts-expect-error gathered already
  collectives.gatherLogits([replicated]);
  // @ts-expect-error gathered already
  collectives.gatherLogits([invariant]);
}

export function confuseImages(
  network: Network,
  collectives: Collectives,
  own: OwnChannels<tf.Tensor4D>,
): void {
  // @ts-expect-error every rank reads the whole image
  forward(network, [], collectives, own, null);
}
