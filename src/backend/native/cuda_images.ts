/** The network's input, made on the GPU from the bytes of a batch. */
import * as tf from '@tensorflow/tfjs-core';
import { triangleTaps } from '../../bilinear_taps.js';
import { WINDOW_NUMBERS } from '../../image_views.js';
import type { ImageMaker } from '../capabilities.js';
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

  return {
    images: ({ bytes, views }, { table, meanImage }, colours, shape) =>
      tf.tidy(() => {
        const [batch, height, width] = shape;
        const input = { height, width };
        const { source, resized } = views ?? { source: input, resized: input };
        const out = backend.allocate(shape);
        addon.imagesFromViews(
          uploaded(bytes),
          views === undefined
            ? null
            : uploaded(new Int32Array(views.windows, 0, batch * WINDOW_NUMBERS)),
          views === undefined ? null : tapsOf(source.height, resized.height),
          views === undefined ? null : tapsOf(source.width, resized.width),
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

function tensorOf(values: Float32Array | Int32Array | Uint8Array): tf.Tensor {
  if (values instanceof Uint8Array) return tf.tensor1d(values, 'bool');
  return tf.tensor1d(values, values instanceof Int32Array ? 'int32' : 'float32');
}

/** int32 [outputs, 2 + n]: for each output position the first input position, the number of them, and their n weights. */
function tapRows(inputs: number, outputs: number): Int32Array {
  const { start, length, weights, stride } = triangleTaps(inputs, outputs);
  const rows = new Int32Array(outputs * (2 + stride));
  for (let output = 0; output < outputs; output++) {
    const own = weights.subarray(output * stride, (output + 1) * stride);
    rows.set([start[output]!, length[output]!, ...own], output * (2 + stride));
  }
  return rows;
}
