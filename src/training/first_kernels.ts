/** The kernels that read the image, from a checkpoint. Called by `visualize`, the report and TensorBoard's log. */
import type { Configuration } from '../configuration.js';
import { UserError } from '../errors.js';
import type { KernelWeights } from '../report/kernels.js';
import { readSafetensors } from './safetensors.js';

/**
 * @param model a checkpoint's `model.safetensors`
 * @throws UserError where the first layer is no convolution of an RGB image
 */
export function firstKernels(
  { network }: Configuration,
  model: string,
): { layer: string; weights: KernelWeights } {
  const first = network.layers[0];
  if (first?.type !== 'conv' || network.input.channels !== 3) {
    throw new UserError(
      'the first layer is no convolution of an RGB image: it has no kernels to draw',
    );
  }
  const weights = readSafetensors(model).get(`${first.name}.weight`);
  if (weights === undefined) throw new UserError(`${model} has no ${first.name}.weight`);
  return { layer: first.name, weights };
}
