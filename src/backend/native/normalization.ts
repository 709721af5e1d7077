/** Local response normalization across channels and its gradient, float32, NHWC. */
import type * as tf from '@tensorflow/tfjs-core';
import { LOCAL_RESPONSE_NORMALIZATION } from '../own_kernels.js';
import type { Inputs, KernelResult, Kernels } from './kernel.js';
import type { DeviceBackend } from './device_backend.js';

export const normalizationKernels: Kernels = {
  LRN: normalize,
  [LOCAL_RESPONSE_NORMALIZATION]: normalize,

  LRNGrad: (
    backend,
    { x, dy }: Inputs<'x' | 'dy'>,
    { depthRadius, bias, alpha, beta }: tf.LRNGradAttrs,
  ) => {
    const values = backend.float32(x);
    const gradient = backend.float32(dy);
    if (!values || !gradient) return undefined;
    const dx = backend.allocate(x.shape);
    backend.addon.localResponseNormalizationGradient(
      gradient,
      values,
      dx,
      x.shape[3]!,
      depthRadius,
      bias,
      alpha,
      beta,
    );
    return backend.makeTensorInfo(x.shape, 'float32', dx);
  },
};

function normalize<DeviceArray>(
  backend: DeviceBackend<DeviceArray>,
  { x }: Inputs<'x'>,
  { depthRadius, bias, alpha, beta }: tf.LRNAttrs,
): KernelResult {
  const values = backend.float32(x);
  if (!values) return undefined;
  const out = backend.allocate(x.shape);
  backend.addon.localResponseNormalization(
    values,
    out,
    x.shape[3]!,
    depthRadius,
    bias,
    alpha,
    beta,
  );
  return backend.makeTensorInfo(x.shape, 'float32', out);
}
