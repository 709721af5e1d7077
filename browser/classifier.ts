/** Computes the network on TensorFlow.js's WebAssembly backend, by the program's own forward pass. */
import * as tf from '@tensorflow/tfjs-core';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import binary from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm';
import type { ImageNormalization } from '../src/backend/capabilities.js';
import { normalizationTable, normalizedImages } from '../src/backend/images.js';
import type { Image } from '../src/data/image.js';
import { testViews } from '../src/data/test_views.js';
import { MEAN_IMAGE } from '../src/library/page_model.js';
import { LocalNetwork } from '../src/model/local_network.js';
import { buildNetwork } from '../src/model/network.js';
import type { Network } from '../src/model/network.js';
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
  private readonly computing: LocalNetwork;
  private readonly normalization: ImageNormalization;

  /** After `prepareBackend`. */
  constructor(private readonly model: EmbeddedModel) {
    const { towers, classes, mean, std, tensors } = model;
    this.network = buildNetwork(model.network, towers, classes.length);
    this.computing = new LocalNetwork(this.network, (name) => tensors.get(name)!);
    const meanImage = tensors.get(MEAN_IMAGE) ?? null;
    this.normalization = { table: normalizationTable(mean, std), std, meanImage };
  }

  classify(image: Image): Classification {
    const { height, width } = this.network.input;
    const views = testViews(image, this.model.view, { height, width }, this.model.crops);
    const bytes = new Uint8Array(views.length * height * width * 3);
    views.forEach((view, index) => bytes.set(view, index * view.length));
    const sums = new Map<string, number[]>();
    const logits = tf.tidy(() => {
      const shape: [number, number, number, number] = [views.length, height, width, 3];
      const images = normalizedImages({ bytes }, this.normalization, null, shape);
      return this.computing.compute(images, (layer, rank, output) => {
        const [sum] = tf.sum(output).dataSync<'float32'>();
        // The ranks come in order.
        sums.set(layer, [...(sums.get(layer) ?? []).slice(0, rank), sum!]);
      });
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
}
