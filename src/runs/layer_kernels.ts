/** The kernels of any layer of a checkpoint, as planes. */
import { UserError } from '../errors.js';
import { isParameterised, type Layer, type Network } from '../model/network.js';
import type { LayerKernels } from '../report/grey_tiles.js';
import { readTensor } from './safetensors.js';

/**
 * Reads a layer's kernels from a file: of a convolution `[kernels, inputs, height, width]`; of a fully-connected layer
 * its units' weights, in the height and width of its input; of a locally-connected layer the kernels of all positions
 * side by side.
 *
 * @param model a checkpoint's `model.safetensors`; its checksum is not verified
 * @throws UserError that names the layers with kernels, if `name` is none of them
 */
export function readLayerKernels(network: Network, name: string, model: string): LayerKernels {
  const withKernels = network.layers.filter((layer) => isParameterised(layer.specification));
  const layer = withKernels.find((candidate) => candidate.name === name);
  if (layer === undefined) {
    const names = withKernels.map((candidate) => candidate.name).join(', ');
    throw new UserError(`layer ${name} has no kernels in this network; these have: ${names}`);
  }
  const { shape, data } = readTensor(model, `${name}.weight`)!;
  switch (layer.specification.type) {
    case 'local':
      return sideBySide(shape, data);
    case 'fc':
      return { shape: [shape[0]!, ...inputOf(layer, shape)], data };
    default:
      return { shape: shape as LayerKernels['shape'], data };
  }
}

/** Channels, height and width that a unit's weights are of. */
function inputOf({ input }: Layer, [, length]: number[]): [number, number, number] {
  const { height, width } = input;
  return [length! / (height * width), height, width];
}

/** From `[kernels, rows, columns, inputs, height, width]` to `[kernels, inputs, rows · height, columns · width]`. */
function sideBySide(shape: number[], data: Float32Array): LayerKernels {
  const [kernels, rows, columns, inputs, height, width] = shape as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const planes = new Float32Array(data.length);
  let from = 0;
  for (let kernel = 0; kernel < kernels; kernel++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (let input = 0; input < inputs; input++) {
          const plane = (kernel * inputs + input) * rows * height * columns * width;
          for (let y = 0; y < height; y++, from += width) {
            const at = plane + ((row * height + y) * columns + column) * width;
            planes.set(data.subarray(from, from + width), at);
          }
        }
      }
    }
  }
  return { shape: [kernels, inputs, rows * height, columns * width], data: planes };
}
