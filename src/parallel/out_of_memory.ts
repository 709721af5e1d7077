/** What a user can do about a GPU whose memory is full. */
import { capabilities } from '../backend/capabilities.js';
import { imagesThatFit, stepMemory } from '../model/memory.js';
import type { Network } from '../model/network.js';

/**
 * The remedy, to be added to the device's own words.
 *
 * @param ranks of the worker
 * @param images that it computes at once
 */
export function memoryRemedy(network: Network, ranks: readonly number[], images: number): string {
  const { held, limit, free } = capabilities().gpuMemory!();
  const most = Math.min(limit, held + free);
  const fit = imagesThatFit(stepMemory(network, ranks), most);
  if (fit === 0) return 'not even one image fits: free the GPU, or divide the towers among more';
  return fit < images
    ? `about ${fit} of the ${images} images at once would fit: lower --batch, with --accumulate to keep its updates`
    : `lower --batch, which is ${images} images at once here`;
}
