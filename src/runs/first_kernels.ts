/** The kernels that read the image, from a checkpoint. Called by `visualize`, the report and TensorBoard's log. */
import type { Configuration } from '../configuration.js';
import { UserError } from '../errors.js';
import type { KernelWeights } from '../report/kernels.js';
import { readSafetensors } from './safetensors.js';
import type { TensorMap } from './safetensors.js';

export interface FirstKernels {
  layer: string;
  weights: KernelWeights;
}

/**
 * @param model a checkpoint's `model.safetensors`
 * @throws UserError where the first layer is no convolution of an RGB image
 */
export function firstKernels(configuration: Configuration, model: string): FirstKernels {
  const kernels = firstKernelsIn(configuration, readSafetensors(model));
  if (kernels !== null) return kernels;
  throw new UserError(
    'the first layer is no convolution of an RGB image: it has no kernels to draw',
  );
}

/** @returns null where the first layer is no convolution of an RGB image */
export function firstKernelsIn(
  { network }: Configuration,
  parameters: TensorMap,
): FirstKernels | null {
  const first = network.layers[0];
  if (first?.type !== 'conv' || network.input.channels !== 3) return null;
  const weights = parameters.get(`${first.name}.weight`);
  return weights === undefined ? null : { layer: first.name, weights };
}
