/** How the native backend computes a network's convolutions on this machine's processor. */
import { availableBackend } from '../backend/backend.js';
import { loadNativeAddon } from '../backend/native/addon.js';
import type {
  ConvolutionPass,
  ConvolutionPassAlgorithm,
  PassAlgorithm,
} from '../backend/native/addon_layers.js';
import { convolutionGeometry } from '../backend/native/geometry.js';
import type { Precision } from '../backend/numerics.js';
import { imagesPerStep } from '../configuration.js';
import type { Configuration } from '../configuration.js';
import type { ConvLayer } from '../model/layers.js';
import { beyondFarEdges, buildNetwork } from '../model/network.js';
import type { Layer } from '../model/network.js';
import type { CheckpointState, LayerAlgorithm } from '../runs/checkpoint_state.js';
import type { ResolvedPlacement } from './devices.js';
import { configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

/** One pass of one convolutional layer, as each rank computes it. */
export interface PlannedPass extends LayerAlgorithm {
  /** Multiplications and additions per rank and step. */
  operations: number;
}

/**
 * The algorithm of every convolution's passes, which follows from its shape, the precision and the processor.
 *
 * @throws UserError if the native backend is missing
 */
export function planAlgorithms(recipe: Recipe, precision: Precision): PlannedPass[] {
  return algorithmsOf(configurationOf(recipe), precision).map((pass) => ({
    layer: pass.layer,
    pass: pass.pass,
    algorithm: pass.algorithm,
    transformSize: pass.transformSize,
    operations: pass.operations,
  }));
}

interface PassWithGeometry extends PlannedPass, ConvolutionPassAlgorithm {}

/**
 * As `planAlgorithms`, of a recipe that is resolved already.
 *
 * @param batch images that a worker computes at once
 */
export function algorithmsOf(
  { network, towers, data, training }: Configuration,
  precision: Precision,
  batch = training.batch,
): PassWithGeometry[] {
  availableBackend('native');
  return buildNetwork(network, towers, data.classes).layers.flatMap((layer) => {
    const { specification } = layer;
    if (specification.type !== 'conv') return [];
    const geometry = [...geometryOf(layer, specification, batch)];
    // The image needs no gradient.
    const passes: ConvolutionPass[] =
      layer.index === 0 ? ['forward', 'filter'] : ['forward', 'input', 'filter'];
    return passes.map((pass) => ({
      layer: layer.name,
      pass,
      geometry,
      ...loadNativeAddon().convolutionAlgorithm(pass, geometry, precision),
    }));
  });
}

/** The algorithms of a run. */
export interface RunAlgorithms {
  /** Of every pass, for the run's checkpoints; undefined except with the native backend. */
  recorded: LayerAlgorithm[] | undefined;
  /** Those that a resumed run takes from its checkpoint, where the cheapest is another now. */
  kept: ConvolutionPassAlgorithm[];
  /** One line if there are such, or if this processor lacks one that the checkpoint records. */
  warnings: string[];
}

/**
 * A resumed run computes each pass as its checkpoint records, so that it computes the same bits, unless its batch or
 * precision is another now.
 *
 * @param before of the checkpoint; undefined for a new run
 * @param replicas that share the batch
 */
export function algorithmsOfRun(
  configuration: Configuration,
  { backend, precision, placement }: Pick<ResolvedPlacement, 'backend' | 'precision' | 'placement'>,
  replicas: number,
  before: CheckpointState | undefined,
): RunAlgorithms {
  const onCpu = placement.every(({ device }) => device === 'cpu');
  // On a GPU, cuDNN chooses.
  if (backend !== 'native' || !onCpu) return { recorded: undefined, kept: [], warnings: [] };
  const { training } = configuration;
  const cheapest = algorithmsOf(configuration, precision, Math.ceil(training.batch / replicas));
  const isSame = before?.batch === imagesPerStep(training) && before.precision === precision;
  const recorded = isSame ? (before.algorithms ?? []) : [];
  const kept: PassWithGeometry[] = [];
  const lines: string[] = [];
  const taken = cheapest.map((now) => {
    const then = recorded.find(({ layer, pass }) => layer === now.layer && pass === now.pass);
    if (then === undefined || shown(then) === shown(now)) return now;
    const { algorithm, transformSize } = then;
    const computes = loadNativeAddon().computesConvolutionBy(
      now.pass,
      now.geometry,
      precision,
      algorithm,
      transformSize,
    );
    const name = `${now.layer} ${now.pass}`;
    if (!computes) {
      lines.push(
        `${name} by ${shown(now)}, because this processor does not compute it by ${shown(then)}`,
      );
      return now;
    }
    lines.push(`${name} by ${shown(then)}, though ${shown(now)} is cheaper here`);
    const own = { ...now, algorithm, transformSize };
    kept.push(own);
    return own;
  });
  return {
    recorded: taken.map(({ layer, pass, algorithm, transformSize }) => ({
      layer,
      pass,
      algorithm,
      transformSize,
    })),
    kept: kept.map(({ pass, geometry, algorithm, transformSize }) => ({
      pass,
      geometry,
      algorithm,
      transformSize,
    })),
    warnings: lines.length === 0 ? [] : [`convolutions as in the checkpoint: ${lines.join('; ')}`],
  };
}

function shown({ algorithm, transformSize }: PassAlgorithm): string {
  return transformSize === 0 ? algorithm : `${algorithm} ${transformSize}`;
}

/** The convolution that the kernels see: padding other than `same` is copied into the image before. */
function geometryOf(layer: Layer, { size, stride, pad }: ConvLayer, batch: number): Int32Array {
  const { input, output } = layer;
  const isSame = stride === 1 && 2 * pad === size - 1;
  const [below, right] = isSame ? [0, 0] : beyondFarEdges(layer);
  const copied = isSame ? 0 : pad;
  const kept = isSame ? pad : 0;
  return convolutionGeometry({
    batchSize: batch,
    inHeight: input.height + 2 * copied + below,
    inWidth: input.width + 2 * copied + right,
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
    padInfo: { top: kept, left: kept },
  });
}
