/** Computes the network on TensorFlow.js's WebAssembly backend, by the program's own forward pass. */
import * as tf from '@tensorflow/tfjs-core';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import binary from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm';
import { normalizationTable, normalizedImages } from '../src/backend/images.js';
import type { ImageNormalization } from '../src/backend/images.js';
import type { Image } from '../src/data/image.js';
import { testViews } from '../src/data/test_views.js';
import { MEAN_IMAGE } from '../src/library/page_model.js';
import type { Invariant, LayerInput, OwnChannels, Replicated } from '../src/model/distribution.js';
import { forward, isFollowedByRelu } from '../src/model/forward.js';
import type { Collectives, RankParameters } from '../src/model/forward.js';
import { buildNetwork, isParameterised } from '../src/model/network.js';
import type { Layer, Network } from '../src/model/network.js';
import { layerOf, shareOf, toComputingLayout } from '../src/model/parameters.js';
import { rowOf, softmax } from '../src/model/probabilities.js';
import type { EmbeddedModel } from './embedded_model.js';

export interface Classification {
  /** Of each class. */
  probabilities: number[];
  /** uint8 [height, width, 3]: the first view of the picture. */
  seen: Uint8Array;
  /** Of each layer before a ReLU, in order: each tower's part of the sum of all outputs after it, or null if that is 0. */
  activity: { layer: string; shares: number[] | null }[];
}

/** Loads the backend into this page, and nothing from anywhere else. */
export async function prepareBackend(): Promise<void> {
  // Threads would need a page of a server that isolates it, and a script of their own.
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  if (!(await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT'))) {
    throw new Error('This browser is too old: it has no WebAssembly with SIMD.');
  }
  const paths = {
    'tfjs-backend-wasm.wasm': binary,
    'tfjs-backend-wasm-simd.wasm': binary,
    'tfjs-backend-wasm-threaded-simd.wasm': binary,
  };
  setWasmPaths(paths, true);
  await tf.setBackend('wasm');
}

export class Classifier {
  readonly network: Network;
  private readonly parameters: RankParameters[];
  private readonly normalization: ImageNormalization;
  private readonly collectives: Collectives;

  /** After `prepareBackend`. */
  constructor(private readonly model: EmbeddedModel) {
    const { towers, classes, mean, std, tensors } = model;
    this.network = buildNetwork(model.network, towers, classes.length);
    const ranks = Array.from({ length: towers }, (_, rank) => rank);
    this.parameters = ranks.map((rank) => this.parametersOf(rank));
    const meanImage = tensors.get(MEAN_IMAGE) ?? null;
    this.normalization = { table: normalizationTable(mean, std), std, meanImage };
    this.collectives = {
      ranks,
      gatherActivations: (_, own) => joined(own) as unknown as Replicated,
      gatherLogits: (own) => joined(own) as unknown as Invariant<tf.Tensor2D>,
    };
  }

  classify(image: Image): Classification {
    const { height, width } = this.network.input;
    const views = testViews(image, this.model.view, { height, width }, this.model.crops);
    const bytes = new Uint8Array(views.length * height * width * 3);
    views.forEach((view, index) => bytes.set(view, index * view.length));
    const sums = new Map<string, number[]>();
    const logits = tf.tidy(() => {
      const shape: [number, number, number, number] = [views.length, height, width, 3];
      const images = normalizedImages(bytes, this.normalization, null, shape);
      const { network, parameters, collectives } = this;
      const around = this.summing(sums);
      return forward(
        network,
        parameters,
        collectives,
        images as Replicated<tf.Tensor4D>,
        null,
        around,
      ).dataSync<'float32'>();
    });
    const rows = views.map((_, view) => softmax(rowOf(logits, view, views.length)));
    return {
      probabilities: rows[0]!.map((_, label) =>
        rows.reduce((sum, row) => sum + row[label]! / rows.length, 0),
      ),
      seen: views[0]!,
      activity: [...sums].map(([layer, towers]) => {
        const all = towers.reduce((sum, part) => sum + part, 0);
        return { layer, shares: all > 0 ? towers.map((part) => part / all) : null };
      }),
    };
  }

  private parametersOf(rank: number): RankParameters {
    const { network } = this;
    return new Map(
      network.parameters.map((parameter) => {
        const { shape, start, length } = shareOf(parameter, rank, network.towers);
        const values = this.model.tensors.get(parameter.name)!.subarray(start, start + length);
        return [parameter.name, toComputingLayout(layerOf(network, parameter), shape, values)];
      }),
    );
  }

  /** Adds up the outputs of each tower, layer by layer, after ReLU. */
  private summing(sums: Map<string, number[]>) {
    return (
      layer: Layer,
      rank: number,
      input: LayerInput,
      compute: (input: LayerInput) => OwnChannels,
    ): OwnChannels => {
      const output = compute(input);
      const name = this.rectifiedLayer(layer);
      if (name !== null) {
        const [sum] = tf.sum(output).dataSync<'float32'>();
        sums.set(name, [...(sums.get(name) ?? []).slice(0, rank), sum!]);
      }
      return output;
    };
  }

  /** The layer whose outputs are no longer negative after `layer`; null if there is none. */
  private rectifiedLayer({ index, name, specification }: Layer): string | null {
    if (isFollowedByRelu(this.network, index)) return name;
    if (specification.type !== 'relu') return null;
    const before = this.network.layers.slice(0, index).reverse();
    return before.find((layer) => isParameterised(layer.specification))!.name;
  }
}

/** All towers' channels. */
function joined(own: OwnChannels[]): tf.Tensor {
  return own.length === 1 ? own[0]! : tf.concat(own, -1);
}
