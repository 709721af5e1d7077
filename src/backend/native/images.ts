/** Images from the bytes of a batch, and in another size; float32, NHWC. */
import type * as tf from '@tensorflow/tfjs-core';
import { IMAGES_FROM_BYTES, type ImagesFromBytesAttributes } from '../own_kernels.js';
import type { Inputs, Kernels } from './kernel.js';

export const imageKernels: Kernels = {
  [IMAGES_FROM_BYTES]: (
    backend,
    _inputs: unknown,
    { bytes, table, shape }: ImagesFromBytesAttributes,
  ) => {
    const images = backend.allocate(shape);
    backend.withUploaded([bytes, table], ([pixels, values]) => {
      backend.addon.imagesFromBytes(pixels!, values!, images);
    });
    return backend.makeTensorInfo(shape, 'float32', images);
  },

  ResizeBilinear: (
    backend,
    { images }: Inputs<'images'>,
    { alignCorners, halfPixelCenters, size: [outHeight, outWidth] }: tf.ResizeBilinearAttrs,
  ) => {
    const values = backend.float32(images);
    if (!values || images.shape.includes(0)) return undefined;
    const [batch, inHeight, inWidth, channels] = images.shape as [number, number, number, number];
    const out = backend.allocate([batch, outHeight, outWidth, channels]);
    const sizes = [batch, inHeight, inWidth, outHeight, outWidth, channels];
    backend.addon.resizeBilinear(values, out, sizes, alignCorners, halfPixelCenters);
    return backend.makeTensorInfo([batch, outHeight, outWidth, channels], 'float32', out);
  },
};
