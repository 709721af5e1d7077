/**
 * How a tensor is distributed over the ranks, as a type: so that taking one kind of gradient for another does not
 * compile. The idea is that of meta-pytorch's spmd_types. The types exist for the compiler alone; at run time each of
 * them is a plain tensor.
 *
 * A collective or a layer that makes a tensor casts it to its kind. Nothing else should.
 */
import type * as tf from '@tensorflow/tfjs-core';

declare const KIND: unique symbol;

interface Kind<Name> {
  readonly [KIND]: Name;
}

/** Each rank has other values: the channels that its own kernels or units have computed. */
export type OwnChannels<Tensor extends tf.Tensor = tf.Tensor> = Tensor & Kind<'own channels'>;

/**
 * Every rank has the same values and computes something else from them. The gradient on a rank is one term; the
 * gradient of the values is the sum of all ranks' terms.
 */
export type Replicated<Tensor extends tf.Tensor = tf.Tensor> = Tensor & Kind<'replicated'>;

/**
 * Every rank has the same values and computes the same from them. The gradient on each rank is complete; adding the
 * ranks' gradients would count it once per rank.
 */
export type Invariant<Tensor extends tf.Tensor = tf.Tensor> = Tensor & Kind<'invariant'>;

/** What the kernels of one rank can read: the sum of their gradients over the ranks is the input's gradient. */
export type LayerInput<Tensor extends tf.Tensor = tf.Tensor> =
  OwnChannels<Tensor> | Replicated<Tensor>;
