/** How the native backend computes a network's convolutions on this machine's processor. */
import { availableBackend } from '../backend/backend.js';
import { loadNativeAddon } from '../backend/native/addon.js';
import type { ConvolutionAlgorithm, ConvolutionPass } from '../backend/native/addon_layers.js';
import { convolutionGeometry } from '../backend/native/geometry.js';
import type { Precision } from '../backend/numerics.js';
import type { Configuration } from '../configuration.js';
import type { ConvLayer } from '../model/layers.js';
import { buildNetwork } from '../model/network.js';
import type { Layer } from '../model/network.js';
import { configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

/** One pass of one convolutional layer, as each rank computes it. */
export interface PlannedPass {
  layer: string;
  /** Forward, or the gradient by the input or by the filter. */
  pass: ConvolutionPass;
  algorithm: ConvolutionAlgorithm;
  /** Multiplications and additions per rank and step. */
  operations: number;
}

/**
 * The algorithm of every convolution's passes, which follows from its shape, the precision and the processor.
 *
 * @throws UserError if the native backend is missing
 */
export function planAlgorithms(recipe: Recipe, precision: Precision): PlannedPass[] {
  return algorithmsOf(configurationOf(recipe), precision);
}

/** As `planAlgorithms`, of a recipe that is resolved already. */
export function algorithmsOf(configuration: Configuration, precision: Precision): PlannedPass[] {
  availableBackend('native');
  const { towers, data, training } = configuration;
  const network = buildNetwork(configuration.network, towers, data.classes);
  return network.layers.flatMap((layer) => {
    const { specification } = layer;
    if (specification.type !== 'conv') return [];
    const geometry = geometryOf(layer, specification, training.batch);
    // The image needs no gradient.
    const passes: ConvolutionPass[] =
      layer.index === 0 ? ['forward', 'filter'] : ['forward', 'input', 'filter'];
    return passes.map((pass) => ({
      layer: layer.name,
      pass,
      ...loadNativeAddon().convolutionAlgorithm(pass, geometry, precision),
    }));
  });
}

function geometryOf(
  { input, output }: Layer,
  { size, stride, pad }: ConvLayer,
  batch: number,
): Int32Array {
  return convolutionGeometry({
    batchSize: batch,
    inHeight: input.height,
    inWidth: input.width,
    inChannels: input.channels,
    outHeight: output.height,
    outWidth: output.width,
    outChannels: output.channels,
    filterHeight: size,
    filterWidth: size,
    strideHeight: stride,
    strideWidth: stride,
    dilationHeight: 1,
    dilationWidth: 1,
    padInfo: { top: pad, left: pad },
  });
}
