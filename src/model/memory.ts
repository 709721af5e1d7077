/**
 * How much memory a training step takes on one device: an estimate from the shapes of what a step keeps. A backend has more,
 * for buffers of other sizes than those asked for and for what its libraries work in.
 */
import { elements } from './network.js';
import type { Layer, Network } from './network.js';
import type { ActivationShape } from './layers.js';
import { isFollowedByRelu, poolOfFirst } from './fusion.js';
import { shareOf } from './parameters.js';

const FLOAT32_BYTES = 4;

/** Bytes of a step. */
export interface StepMemory {
  /** Weights, momentum buffers and gradients. */
  parameterBytes: number;
  /** Activations and their gradients, of each image. */
  bytesPerImage: number;
}

/** @param ranks that one device computes */
export function stepMemory(network: Network, ranks: readonly number[]): StepMemory {
  const held = ranks.flatMap((rank) =>
    network.parameters.map((parameter) => elements(shareOf(parameter, rank, network.towers).shape)),
  );
  const gathered = network.layers.filter(({ gathers }) => gathers).map(({ input }) => input);
  const ofAllRanks = sizeOf(network.input) + 2 * sumOf(gathered.map(sizeOf));
  const ofRank = sumOf(network.layers.map((layer) => floatsOf(network, layer)));
  return {
    parameterBytes: 3 * FLOAT32_BYTES * sumOf(held),
    bytesPerImage: FLOAT32_BYTES * (ofAllRanks + ranks.length * ofRank),
  };
}

/** Part of a device's memory that is left for what its libraries work in. */
const RESERVED = 0.1;

/** About how many images' step fits into a device with so many bytes; 0 if not even one does. */
export function imagesThatFit(
  { parameterBytes, bytesPerImage }: StepMemory,
  bytes: number,
): number {
  return Math.max(0, Math.floor(((1 - RESERVED) * bytes - parameterBytes) / bytesPerImage));
}

/** Floats of an image that one rank has of a layer at the end of a backward pass, which frees them. */
function floatsOf(network: Network, layer: Layer): number {
  const { specification, input, output } = layer;
  const own = sizeOf(output);
  const pool = poolOfFirst(network);
  // The output is not kept, only its gradient; a byte says where each maximum was.
  if (pool !== null && layer.index === 0) return own;
  if (pool === layer) return 2.25 * own;
  switch (specification.type) {
    case 'relu':
      return isFollowedByRelu(network, layer.index - 1) ? 0 : 2 * own;
    case 'lrn':
      // If max pooling follows, it gives the gradient by the input.
      return network.layers[layer.index + 1]?.specification.type === 'maxPool' ? own : 2 * own;
    case 'local': {
      const columns = output.height * output.width * specification.size ** 2 * input.channels;
      return 3 * columns + 3 * sizeOf(input) + 4 * own;
    }
    case 'dropout':
      return 3 * own;
    default:
      return 2 * own;
  }
}

function sumOf(sizes: readonly number[]): number {
  return sizes.reduce((sum, size) => sum + size, 0);
}

function sizeOf({ height, width, channels }: ActivationShape): number {
  return height * width * channels;
}
