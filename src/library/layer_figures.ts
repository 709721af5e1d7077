/** The figures of `visualize` that show single layers: the kernels of one, or the activations of each for a picture. */
import * as tf from '@tensorflow/tfjs-core';
import { normalizationTable, normalizedImages } from '../backend/images.js';
import { useWasm } from '../backend/wasm.js';
import type { Configuration } from '../configuration.js';
import { decodeImageFile } from '../data/image_file.js';
import { testViews } from '../data/test_views.js';
import { LocalNetwork } from '../model/local_network.js';
import { buildNetwork } from '../model/network.js';
import { drawLayerKernels, drawMaps } from '../report/grey_tiles.js';
import type { LayerMaps } from '../report/grey_tiles.js';
import { readLayerKernels } from '../runs/layer_kernels.js';
import type { ImageModel } from './image_model.js';

/**
 * @param model a checkpoint's `model.safetensors`
 * @returns a PNG
 * @throws UserError if there is no such layer, or it has too many kernels for a picture
 */
export function layerKernelsFigure(
  { network, towers, data }: Configuration,
  layer: string,
  model: string,
): Promise<Uint8Array> {
  const built = buildNetwork(network, towers, data.classes);
  return drawLayerKernels(layer, readLayerKernels(built, layer, model), towers);
}

/**
 * Computes in this thread, on the WebAssembly backend: a single image is no work to divide.
 *
 * @param file an image, of which the network sees what it sees of a test image, the centre crop
 * @returns a PNG
 * @throws UndecodableImage if the file is none
 */
export async function mapsFigure(
  { configuration, network, parameters, normalization }: ImageModel,
  file: string,
): Promise<Uint8Array> {
  const { view, background } = configuration.data;
  const { height, width, channels } = network.input;
  const image = await decodeImageFile(file, background);
  const pixels = testViews(image, view, { height, width }, 1)[0]!;
  await useWasm();
  const { mean, std, meanImage } = normalization;
  const table = normalizationTable(mean, std);
  const local = new LocalNetwork(network, (name) => parameters.get(name)!.data);
  const layers = new Map<string, LayerMaps['towers']>();
  tf.tidy(() => {
    const images = normalizedImages({ bytes: pixels }, { table, std, meanImage }, null, [
      1,
      height,
      width,
      channels,
    ]);
    local.compute(images, (layer, _rank, output) => {
      const [, ...rest] = output.shape;
      // A vector's units are channels of one pixel.
      const shape = [1, 1, ...rest].slice(-3) as [number, number, number];
      const data = output.dataSync<'float32'>().slice();
      layers.set(layer, [...(layers.get(layer) ?? []), { shape, data }]);
    });
  });
  const maps = [...layers].map(([layer, towers]) => ({ layer, towers }));
  return drawMaps({ height, width, pixels }, maps);
}
