/** The kernels that read the image, in a checkpoint. */
import type { Configuration } from '../configuration.js';
import type { KernelWeights } from '../report/kernel_grid.js';
import { readTensor } from './safetensors.js';
import type { StoredTensor, TensorMap } from './safetensors.js';

export interface FirstKernels {
  layer: string;
  weights: KernelWeights;
}

/**
 * Reads them from a file, and no other tensor of it.
 *
 * @param model a checkpoint's `model.safetensors`; its checksum is not verified
 * @returns null if the first layer is no convolution of an RGB image
 * @throws UserError if the file is not valid
 */
export function readFirstKernels(configuration: Configuration, model: string): FirstKernels | null {
  return firstKernels(configuration, (name) => readTensor(model, name));
}

/** @returns null if the first layer is no convolution of an RGB image */
export function firstKernelsIn(
  configuration: Configuration,
  parameters: TensorMap,
): FirstKernels | null {
  return firstKernels(configuration, (name) => parameters.get(name));
}

function firstKernels(
  { network }: Configuration,
  tensorOf: (name: string) => StoredTensor | undefined,
): FirstKernels | null {
  const first = network.layers[0];
  if (first?.type !== 'conv' || network.input.channels !== 3) return null;
  const weights = tensorOf(`${first.name}.weight`);
  return weights === undefined ? null : { layer: first.name, weights };
}
