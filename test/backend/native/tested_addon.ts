/**
 * The addon that the tests of kernels test: the CPU's, or if `TWOTOWER_TESTED_GPU` is set the GPUs'. That gets the tests' typed
 * arrays copied to GPU 0 before each call, and back after it.
 */
import {
  loadNativeAddon,
  nativeIsPrepared,
  type CpuArray,
  type NativeAddon,
} from '../../../src/backend/native/addon.js';
import {
  cudaIsPrepared,
  kernelSource,
  loadCudaAddon,
  type CudaAddon,
} from '../../../src/backend/native/cuda_addon.js';
import { CudaArray, CudaMemory, ELEMENT_BYTES } from '../../../src/backend/native/cuda_array.js';

/** Whether the tests are of the GPUs' addon. */
export const onGpu = process.env['TWOTOWER_TESTED_GPU'] !== undefined;

/** For `test`'s options. */
export const skip = (onGpu ? cudaIsPrepared() : nativeIsPrepared())
  ? false
  : 'the native addon is not built here';

/** Positions of the arrays among the arguments of each kernel. */
const ARRAYS: Partial<Record<keyof NativeAddon, number[]>> = {
  conv2d: [0, 1, 2, 3],
  conv2dBackpropInput: [0, 1, 2],
  conv2dBackpropFilter: [0, 1, 2, 3],
  conv2dMaxPool: [0, 1, 2, 3, 4],
  conv2dMaxPoolBackpropFilter: [0, 1, 2, 3, 4],
  matMul: [0, 1, 2, 3],
  maxPool: [0, 1],
  maxPoolGradient: [0, 1, 2, 3],
  averagePool: [0, 1],
  averagePoolGradient: [0, 1],
  localResponseNormalization: [0, 1],
  localResponseNormalizationGradient: [0, 1, 2],
  maxPoolOfNormalizedGradient: [0, 1, 2, 3, 4],
  softmaxCrossEntropy: [0, 1, 2, 3],
  momentumUpdate: [0, 1, 2, 3],
  dropoutMask: [3],
  binary: [1, 3, 5],
  unary: [1, 2],
  reluGradient: [0, 1, 2],
  addToChannels: [0, 1, 2],
  select: [0, 1, 2, 3],
  fill: [0],
  cast: [0, 1],
  reduce: [1, 2],
  argMax: [0, 1],
  softmax: [0, 1],
  transpose: [0, 1],
  copyBox: [0, 3],
  gather: [0, 1, 2],
  oneHot: [0, 1],
  tile: [0, 1],
  imagesFromBytes: [0, 1, 2],
  resizeBilinear: [0, 1],
};

/** What the CPU's addon has beyond kernels, where tests ask for it. */
const OF_THE_CPU = {
  information: () => ({ bf16: true }),
  setThreads: () => {},
  preferConvolutionAlgorithm: () => {},
};

function onTypedArrays(cuda: CudaAddon): NativeAddon {
  cuda.openGpu(0, kernelSource(), 1);
  const call = (name: keyof NativeAddon, given: unknown[]): unknown => {
    const copies = new Map<unknown, CudaArray>();
    const passed = given.map((argument, position) => {
      if (!ARRAYS[name]!.includes(position) || !isCpuArray(argument)) return argument;
      const copy = copies.get(argument) ?? copyOf(cuda, argument);
      copies.set(argument, copy);
      return copy;
    });
    const result = (cuda as unknown as Record<string, (...all: unknown[]) => unknown>)[name]!(
      ...passed,
    );
    for (const [argument, copy] of copies) {
      (argument as CpuArray).set(copy.read());
      cuda.freeMemory(copy.memory.handle);
    }
    return result;
  };
  return new Proxy({} as NativeAddon, {
    get: (_, name: keyof NativeAddon) =>
      ARRAYS[name] === undefined
        ? OF_THE_CPU[name as keyof typeof OF_THE_CPU]
        : (...given: unknown[]) => call(name, given),
  });
}

function isCpuArray(value: unknown): value is CpuArray {
  return (
    value instanceof Float32Array || value instanceof Int32Array || value instanceof Uint8Array
  );
}

function copyOf(cuda: CudaAddon, values: CpuArray): CudaArray {
  const type =
    values instanceof Float32Array ? 'float32' : values instanceof Int32Array ? 'int32' : 'bool';
  const memory = CudaMemory.allocate(cuda, Math.max(1, values.length) * ELEMENT_BYTES[type]);
  const copy = new CudaArray(memory, type, 0, values.length);
  copy.write(values);
  return copy;
}

export const addon: NativeAddon =
  skip !== false ? undefined! : onGpu ? onTypedArrays(loadCudaAddon()) : loadNativeAddon();
