/** The network's input, made on the GPU from the bytes of a batch. */
import * as tf from '@tensorflow/tfjs-core';
import { tapRows } from '../../bilinear_taps.js';
import { WINDOW_NUMBERS } from '../../image_views.js';
import type { DecodedBytes, ImageMaker } from '../capabilities.js';
import type { CudaAddon } from './cuda_addon.js';
import type { CudaArray } from './cuda_array.js';
import type { DeviceBackend } from './device_backend.js';

export function imageMakerOf(backend: DeviceBackend<CudaArray>, addon: CudaAddon): ImageMaker {
  const constants = new Map<unknown, tf.Tensor>();
  /** What `make` returns, uploaded once. */
  const constant = (key: unknown, make: () => Float32Array | Int32Array): CudaArray => {
    let tensor = constants.get(key);
    if (tensor === undefined) {
      tensor = tf.keep(tensorOf(make()));
      constants.set(key, tensor);
    }
    return backend.arrayOf(tensor)!;
  };
  const tapsOf = (inputs: number, outputs: number): CudaArray =>
    constant(`${inputs} to ${outputs}`, () => tapRows(inputs, outputs));
  const uploaded = (values: Float32Array | Int32Array | Uint8Array): CudaArray =>
    backend.arrayOf(tensorOf(values))!;

  const early = new EarlyUploads(backend, addon);
  return {
    uploadEarly: (decoded) => early.begin(decoded),
    finishUpload: () => early.finish(),
    images: ({ bytes, views, serial }, { table, meanImage }, colours, shape) =>
      tf.tidy(() => {
        const [batch, height, width] = shape;
        const input = { height, width };
        const { source, resized } = views ?? { source: input, resized: input };
        const [windows, rowTaps, columnTaps] =
          views === undefined
            ? [null, null, null]
            : [
                uploaded(new Int32Array(views.windows, 0, batch * WINDOW_NUMBERS)),
                tapsOf(source.height, resized.height),
                tapsOf(source.width, resized.width),
              ];
        const out = backend.allocate(shape);
        addon.imagesFromViews(
          early.take(serial) ?? uploaded(bytes),
          windows,
          rowTaps,
          columnTaps,
          constant(table, () => table),
          meanImage && constant(meanImage, () => meanImage),
          colours && uploaded(colours),
          [batch, source.height, source.width, resized.height, resized.width, height, width],
          views?.cutFrom === 'source',
          out,
        );
        const info = backend.makeTensorInfo(shape, 'float32', out);
        return tf.engine().makeTensorFromTensorInfo(info) as tf.Tensor4D;
      }),
  };
}

/**
 * Bytes of batches that are on the device before their turn, in two buffers: one may still be read by the work that is enqueued
 * while the other is filled. A command waits for both before it ends.
 */
class EarlyUploads {
  private readonly slots: { serial: number; bytes: tf.Tensor }[] = [];
  /** The slot that the work which is enqueued reads; −1 for none. */
  private inUse = -1;
  /** Page-locked memory must not be collected. */
  private readonly locked: Uint8Array[] = [];
  private isPending = false;

  constructor(
    private readonly backend: DeviceBackend<CudaArray>,
    private readonly addon: CudaAddon,
  ) {}

  begin({ pixels, serial }: DecodedBytes): void {
    if (this.slots.some((slot) => slot.serial === serial)) return;
    const from = new Uint8Array(pixels);
    if (this.addon.lockMemory(from)) this.locked.push(from);
    const index = this.inUse === 0 ? 1 : 0;
    let bytes = this.slots[index]?.bytes;
    if (bytes?.size !== from.length) {
      bytes?.dispose();
      bytes = this.allocate(from.length);
    }
    this.slots[index] = { serial, bytes };
    this.addon.beginUpload(from, this.backend.arrayOf(bytes)!);
    this.isPending = true;
  }

  finish(): void {
    if (this.isPending) this.addon.finishUploads();
    this.isPending = false;
  }

  /** The bytes of this serial number if they are on the device, for work that is enqueued before the next `begin`. */
  take(serial: number | undefined): CudaArray | undefined {
    this.inUse = this.slots.findIndex((slot) => slot.serial === serial);
    const slot = this.slots[this.inUse];
    return slot && this.backend.arrayOf(slot.bytes);
  }

  private allocate(length: number): tf.Tensor {
    const array = this.backend.allocate([length], 'bool');
    const info = this.backend.makeTensorInfo([length], 'bool', array);
    // Work that is enqueued may still use the memory for a tensor that is gone.
    this.addon.synchronize();
    return tf.keep(tf.engine().makeTensorFromTensorInfo(info));
  }
}

function tensorOf(values: Float32Array | Int32Array | Uint8Array): tf.Tensor {
  if (values instanceof Uint8Array) return tf.tensor1d(values, 'bool');
  return tf.tensor1d(values, values instanceof Int32Array ? 'int32' : 'float32');
}
