/** Which layers one kernel computes together. */
import type { PoolLayer } from './layers.js';
import { beyondFarEdges, type Layer, type Network } from './network.js';

/** Windows of `CONVOLUTION_MAX_POOL` have at most 255 positions. */
const LARGEST_POOLED_AT_ONCE = 15;

/** Whether a ReLU follows this layer at once, so that one kernel computes both. */
export function isFollowedByRelu({ layers }: Network, index: number): boolean {
  const type = layers[index]?.specification.type;
  return (type === 'conv' || type === 'fc') && layers[index + 1]?.specification.type === 'relu';
}

/** The max pooling after the first layer and its ReLU, if the three can be computed by one kernel; null if they cannot. */
export function poolOfFirst({ layers }: Network): Layer | null {
  const [first, relu, pool] = layers;
  return first?.specification.type === 'conv' &&
    relu?.specification.type === 'relu' &&
    pool?.specification.type === 'maxPool' &&
    pool.specification.size <= LARGEST_POOLED_AT_ONCE &&
    poolPadOf(pool.specification, pool) !== null
    ? pool
    : null;
}

/** The pooling kernels' own padding that is equal to the layer's; null if none is. */
export function poolPadOf({ size, stride }: PoolLayer, layer: Layer): 'valid' | 'same' | null {
  const [below, right] = beyondFarEdges(layer);
  if (below + right === 0) return 'valid';
  // If windows do not overlap by more, 'same' ignores one row and column past the far edges.
  return below === 1 && right === 1 && size <= stride + 1 ? 'same' : null;
}
