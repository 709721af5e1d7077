/**
 * Registers the backend `native` with tfjs, on the CPU or on a GPU: the kernels of this folder, with tfjs's own CPU kernels as
 * fallback for inputs that they do not support and for kernels that they lack.
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
import { kernelSource, loadCudaAddon } from './cuda_addon.js';
import { CudaBackend } from './cuda_backend.js';
import type { DeviceBackend } from './device_backend.js';
import { onHost } from './host_fallback.js';
import { normalizationKernels } from './normalization.js';
import { poolingKernels } from './pooling.js';
import { reductionKernels } from './reduction.js';
import { trainingKernels } from './training.js';

/** Names of the backends as tfjs knows them: on the CPU, and on a GPU. */
export const NATIVE = 'native';
export const NATIVE_CUDA = 'native-cuda';

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
 * Makes `native` one of the calling thread's backends, on the CPU; `tf.setBackend` selects it.
 *
 * @param threads size of the calling thread's team
 */
export function registerNative(threads: number, precision: Precision = 'float32'): void {
  const addon = loadNativeAddon();
  addon.setThreads(threads);
  if (tf.findBackendFactory(NATIVE) !== null) return;
  registerKernels(NATIVE, (_, kernelFunc) => kernelFunc);
  tf.registerBackend(NATIVE, () => new CpuBackend(addon, precision));
}

/**
 * Makes `native-cuda` one of the calling thread's backends, on the GPU of this ordinal, unless it is one already.
 *
 * @param share part of the GPU's memory that the thread may hold, from 0 to 1
 * @throws Error if the GPU or one of NVIDIA's libraries is missing or does not work, in one line
 */
export function registerCuda(ordinal: number, precision: Precision = 'float32', share = 1): void {
  // A thread has one GPU, on which its tensors are.
  if (tf.findBackendFactory(NATIVE_CUDA) !== null) return;
  const addon = loadCudaAddon();
  addon.openGpu(ordinal, kernelSource(), share);
  registerKernels(NATIVE_CUDA, (kernelName, kernelFunc) =>
    KERNELS_OF_REFERENCES.has(kernelName) ? kernelFunc : onHost(kernelName, kernelFunc),
  );
  tf.registerBackend(NATIVE_CUDA, () => new CudaBackend(addon, ordinal, precision));
}

/**
 * Makes `native-cuda` tfjs's backend in the calling thread.
 *
 * @returns CUDA's version, of NVRTC
 */
export async function useCuda(
  ordinal: number,
  precision: Precision,
  share: number,
): Promise<string> {
  registerCuda(ordinal, precision, share);
  await tf.setBackend(NATIVE_CUDA);
  return loadCudaAddon().libraries().nvrtc;
}

/** tfjs's CPU kernels that touch no values, so that they serve any device. */
const KERNELS_OF_REFERENCES = new Set(['Identity', 'Reshape', 'ExpandDims']);

/** @param fallbackOf makes tfjs's CPU kernel work on the device's tensors */
function registerKernels(
  backendName: string,
  fallbackOf: (kernelName: string, kernelFunc: tf.KernelFunc) => tf.KernelFunc,
): void {
  const register = (kernelName: string, kernelFunc: tf.KernelFunc): void =>
    tf.registerKernel({ kernelName, backendName, kernelFunc });
  for (const { kernelName, kernelFunc } of tf.getKernelsForBackend('cpu')) {
    const own = kernels[kernelName];
    const fallback = fallbackOf(kernelName, kernelFunc);
    register(kernelName, own ? withFallback(kernelName, own, fallback) : fallback);
  }
  for (const [kernelName, own] of Object.entries(kernels)) {
    const there = tf.getKernel(kernelName, backendName) as tf.KernelConfig | undefined;
    if (there === undefined)
      register(kernelName, withFallback(kernelName, own, refuse(kernelName)));
  }
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

/** Names the kernel in the errors of this folder's kernels; tfjs's own have messages of their own. */
function withFallback(kernelName: string, own: Kernel, fallback: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    let result: ReturnType<Kernel>;
    try {
      const backend = call.backend as CpuBackend | CudaBackend;
      refuseDisposed(backend, call.inputs);
      result = own(backend as DeviceBackend<unknown>, call.inputs, call.attrs);
    } catch (error) {
      if (error instanceof Error) error.message = `${kernelName}: ${error.message}`;
      throw error;
    }
    return result ?? fallback(call);
  };
}

/** A disposed clone is allowed while its original is alive: tfjs's `logSigmoid` reads one. */
function refuseDisposed(backend: CpuBackend | CudaBackend, inputs: tf.NamedTensorInfoMap): void {
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
