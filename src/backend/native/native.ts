/**
 * Registers the backend `native` with tfjs: the kernels of this folder, with tfjs's own CPU kernels as fallback for
 * inputs that they do not support and for kernels that they lack.
 */
import * as tf from '@tensorflow/tfjs-core';
import { loadNativeAddon, type NativeInformation } from './addon.js';
import type { ConvolutionPassAlgorithm } from './addon_layers.js';
import type { Precision } from '../numerics.js';
import { arrangementKernels } from './arrangement.js';
import { convolutionKernels } from './convolution.js';
import { convolutionPoolKernels } from './convolution_pool.js';
import { elementwiseKernels } from './elementwise.js';
import { imageKernels } from './images.js';
import { indexingKernels } from './indexing.js';
import type { Kernel, Kernels } from './kernel.js';
import { matrixProductKernels } from './matrix_product.js';
import { CpuBackend } from './cpu_backend.js';
import { normalizationKernels } from './normalization.js';
import { poolingKernels } from './pooling.js';
import { reductionKernels } from './reduction.js';
import { trainingKernels } from './training.js';

export const NATIVE = 'native';

const kernels: Kernels = {
  ...convolutionKernels,
  ...convolutionPoolKernels,
  ...matrixProductKernels,
  ...poolingKernels,
  ...normalizationKernels,
  ...elementwiseKernels,
  ...reductionKernels,
  ...arrangementKernels,
  ...indexingKernels,
  ...imageKernels,
  ...trainingKernels,
};

/**
 * Makes `native` one of the calling thread's backends; `tf.setBackend` selects it.
 *
 * @param threads size of the calling thread's team
 */
export function registerNative(threads: number, precision: Precision = 'float32'): void {
  const addon = loadNativeAddon();
  addon.setThreads(threads);
  if (tf.findBackendFactory(NATIVE) !== null) return;
  for (const { kernelName, kernelFunc } of tf.getKernelsForBackend('cpu')) {
    const own = kernels[kernelName];
    register(kernelName, own ? withFallback(kernelName, own, kernelFunc) : kernelFunc);
  }
  for (const [kernelName, own] of Object.entries(kernels)) {
    const there = tf.getKernel(kernelName, NATIVE) as tf.KernelConfig | undefined;
    if (there === undefined)
      register(kernelName, withFallback(kernelName, own, refuse(kernelName)));
  }
  tf.registerBackend(NATIVE, () => new CpuBackend(addon, precision));
}

/**
 * Makes `native` tfjs's backend in the calling thread.
 *
 * @param keptAlgorithms for these passes instead of the cheapest
 */
export async function useNative(
  threads: number,
  precision: Precision,
  keptAlgorithms: readonly ConvolutionPassAlgorithm[],
): Promise<NativeInformation> {
  registerNative(threads, precision);
  await tf.setBackend(NATIVE);
  const addon = loadNativeAddon();
  for (const { pass, geometry, algorithm, transformSize } of keptAlgorithms) {
    addon.keepConvolutionAlgorithm(pass, geometry, precision, algorithm, transformSize);
  }
  return addon.information();
}

function register(kernelName: string, kernelFunc: tf.KernelFunc): void {
  tf.registerKernel({ kernelName, backendName: NATIVE, kernelFunc });
}

/** Names the kernel in the errors of this folder's kernels; tfjs's own have messages of their own. */
function withFallback(kernelName: string, own: Kernel, fallback: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    let result: ReturnType<Kernel>;
    try {
      const backend = call.backend as CpuBackend;
      refuseDisposed(backend, call.inputs);
      result = own(backend, call.inputs, call.attrs);
    } catch (error) {
      if (error instanceof Error) error.message = `${kernelName}: ${error.message}`;
      throw error;
    }
    return result ?? fallback(call);
  };
}

/** A disposed clone is allowed while its original is alive: tfjs's `logSigmoid` reads one. */
function refuseDisposed(backend: CpuBackend, inputs: tf.NamedTensorInfoMap): void {
  for (const [name, input] of Object.entries(inputs)) {
    if ((input as tf.Tensor | undefined)?.isDisposed === true && !backend.data.has(input!.dataId))
      throw new Error(`${name} is disposed`);
  }
}

/** The fallback of a kernel that tfjs does not have. */
function refuse(kernelName: string): tf.KernelFunc {
  return () => {
    throw new TypeError(`${kernelName}: its inputs must be float32, NHWC`);
  };
}
