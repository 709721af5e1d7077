/** A batch of the shared memory as a worker's tensors. */
import * as tf from '@tensorflow/tfjs-core';
import { type ImageNormalization, capabilities } from '../backend/capabilities.js';
import { normalizationTable, normalizedImages } from '../backend/images.js';
import type { Replicated } from '../model/distribution.js';
import type { Network } from '../model/network.js';
import type { OpenCommand, SharedBuffers } from './messages.js';

export class BatchInput {
  private readonly normalization: ImageNormalization;

  constructor(
    private readonly input: Network['input'],
    { mean, std, meanImage }: Pick<OpenCommand, 'mean' | 'std' | 'meanImage'>,
  ) {
    this.normalization = { table: normalizationTable(mean, std), std, meanImage };
  }

  /** Normalized images, float32 `[count, height, width, channels]`, and labels, int32 `[count]`. */
  tensors(
    count: number,
    { pixels, labels, colours, views, serial }: SharedBuffers,
  ): { images: Replicated<tf.Tensor4D>; labels: tf.Tensor1D } {
    const { height, width, channels } = this.input;
    const size = views?.source ?? { height, width };
    const bytes = new Uint8Array(pixels!, 0, count * size.height * size.width * channels);
    const noise = colours === undefined ? null : new Float32Array(colours, 0, count * channels);
    const shape: [number, number, number, number] = [count, height, width, channels];
    const images = normalizedImages({ bytes, views, serial }, this.normalization, noise, shape);
    return {
      images: images as Replicated<tf.Tensor4D>,
      labels: tf.tensor1d(Int32Array.from(new Int32Array(labels!, 0, count)), 'int32'),
    };
  }

  /** Begins to upload the next batch if the device can do that while it does what is enqueued. */
  uploadNext({ next }: SharedBuffers): void {
    if (next !== undefined) capabilities().imageMaker?.uploadEarly(next);
  }

  /** Waits for the upload. A worker does so before it replies, because the coordinator may then give the bytes away. */
  finishUpload(): void {
    capabilities().imageMaker?.finishUpload();
  }
}
