/** Images in another size, float32, NHWC. */
import type * as tf from '@tensorflow/tfjs';
import type { Inputs, Kernels } from './kernel.js';

export const resizeKernels: Kernels = {
  ResizeBilinear: (
    backend,
    { images }: Inputs<'images'>,
    { alignCorners, halfPixelCenters, size: [outHeight, outWidth] }: tf.ResizeBilinearAttrs,
  ) => {
    const values = backend.float32(images);
    if (!values || values.length === 0) return undefined;
    const [batch, inHeight, inWidth, channels] = images.shape as [number, number, number, number];
    const out = backend.allocate([batch, outHeight, outWidth, channels]);
    const sizes = [batch, inHeight, inWidth, outHeight, outWidth, channels];
    backend.addon.resizeBilinear(values, out, sizes, alignCorners, halfPixelCenters);
    return backend.makeTensorInfo([batch, outHeight, outWidth, channels], 'float32', out);
  },
};
