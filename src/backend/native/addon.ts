/**
 * Loads the native backend's addon: kernels for the CPU, on oneDNN and on the project's own loops. They take the typed
 * arrays that hold the backend's tensors.
 *
 * What all functions have in common:
 * - Arrays are read and written in place. The caller makes the outputs, and every element of them is written.
 *   Arrays may be views, also on a SharedArrayBuffer. An output must not overlap an input, unless its description
 *   says that it may be that input.
 * - NaN in an input is never dropped, and infinity only where ReLU makes 0 of −∞.
 * - Layouts are those of TensorFlow.js: activations [batch, height, width, channels], filters [height, width,
 *   inChannels, outChannels], all row-major.
 * - A function returns when its work is done, by the calling thread and its OpenMP team (`setThreads`).
 * - A wrong argument is a TypeError or RangeError, a failure of oneDNN an Error; each message begins with
 *   the function's name.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { addonPlaces } from '../../set_up_parts.js';
import type {
  ElementwiseFunctions,
  MovementFunctions,
  ReductionFunctions,
} from './addon_arrays.js';
import type {
  ConvolutionAlgorithm,
  ConvolutionPass,
  LayerFunctions,
  PassAlgorithm,
  TrainingFunctions,
} from './addon_layers.js';
import type { Precision } from '../numerics.js';

export interface NativeInformation {
  /** oneDNN's version, e.g. `2.6.3`. */
  oneDnn: string;
  /** Whether the processor multiplies bfloat16 numbers, so that `Precision` may be `bf16`. */
  bf16: boolean;
  /** Version of the rule that chooses a convolution's algorithm; the same version gives the same bits. */
  algorithms: number;
  /** Of the calling thread's team. */
  threads: number;
}

/** The calling thread's share of the addon, and the process. */
interface ThreadFunctions {
  information(): NativeInformation;

  /** Threads that a call from the calling thread uses, 1 before; each thread has its own team. */
  setThreads(threads: number): void;

  /** Ends the process with this exit code, without waiting for its threads as Node does. */
  endProcess(code: number): never;

  /**
   * Makes memory ready for tensors, before it is first written: where it is large the system is asked for
   * large pages, which it may decline.
   * @returns the index of the first byte that begins a cache line of 64 bytes: 0 … 63
   */
  prepareMemory(bytes: Uint8Array): number;

  /**
   * How the calling thread computes a pass, a function of these and the processor, and the multiplications and
   * additions that it needs.
   */
  convolutionAlgorithm(
    pass: ConvolutionPass,
    geometry: Int32Array | number[],
    precision: Precision,
  ): PassAlgorithm & { operations: number };

  /** Whether this processor can compute the pass so. */
  computesConvolutionBy(
    pass: ConvolutionPass,
    geometry: Int32Array | number[],
    precision: Precision,
    algorithm: ConvolutionAlgorithm,
    transformSize: number,
  ): boolean;

  /** From now on the calling thread computes the pass so, whatever the batch, where it can. */
  keepConvolutionAlgorithm(
    pass: ConvolutionPass,
    geometry: Int32Array | number[],
    precision: Precision,
    algorithm: ConvolutionAlgorithm,
    transformSize: number,
  ): void;

  /**
   * The calling thread takes this algorithm for every convolution that it can compute, for tests and
   * benchmarks; `cheapest` is the default.
   */
  preferConvolutionAlgorithm(algorithm: ConvolutionAlgorithm | 'cheapest'): void;
}

/** Kernels over arrays in a device's memory: functions of every device's addon. */
export interface DeviceKernels<DeviceArray>
  extends
    LayerFunctions<DeviceArray>,
    TrainingFunctions<DeviceArray>,
    ElementwiseFunctions<DeviceArray>,
    ReductionFunctions<DeviceArray>,
    MovementFunctions<DeviceArray> {}

/** Values of a float32, int32 or bool tensor in the CPU's memory. */
export type CpuArray = Float32Array | Int32Array | Uint8Array;

/** The addon of the CPU. */
export interface NativeAddon extends ThreadFunctions, DeviceKernels<CpuArray> {}

const addonFile = addonPlaces('twotower').file;

/** Whether set-up has built the addon. */
export function nativeIsPrepared(): boolean {
  return existsSync(addonFile);
}

let loaded: NativeAddon | undefined;

/** The addon, the same object for all of a thread; each thread loads it for itself. */
export function loadNativeAddon(): NativeAddon {
  loaded ??= createRequire(import.meta.url)(addonFile) as NativeAddon;
  return loaded;
}
