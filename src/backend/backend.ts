/**
 * Chooses a tfjs backend and prepares a thread for computing with it.
 *
 * The main thread calls `prepareProcess` before its first worker; each worker calls `useBackend` before
 * its first tensor, and from then on tfjs computes on that worker's device.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { UserError } from '../errors.js';
import { addonPlaces, notLoaded, recordedReason } from '../set_up_parts.js';
import { addonFolder, loadDevicePin, tensorFlowIsPrepared } from './device_pin.js';
import { loadNativeAddon, nativeIsPrepared } from './native/addon.js';
import type { NativeInformation } from './native/addon.js';

/** In the order in which a CPU worker prefers them. */
export const BACKEND_NAMES = ['native', 'tensorflow', 'wasm'] as const;

/** A numeric backend of TensorFlow.js. */
export type BackendName = (typeof BACKEND_NAMES)[number];

/** Types of the operands of convolutions and matrix products; sums, results and parameters are float32. */
export const PRECISIONS = ['float32', 'bf16'] as const;

/** Of the operands of convolutions and matrix products; sums and parameters are float32. */
export type Precision = (typeof PRECISIONS)[number];

/** Where a worker computes. */
export type Device = 'cpu' | `gpu:${number}`;

export interface BackendOptions {
  backend: BackendName;
  device: Device;
  /** float32 unless given. */
  precision?: Precision;
  /** Threads that one operation may use; `wasm` uses one whatever this says. */
  threads: number;
  /**
   * CPU devices that TensorFlow shows, 1 unless given; the thread computes on the one that `logicalCpu`
   * names, 0 unless given. For trying device placement without GPUs.
   */
  logicalCpus?: number;
  logicalCpu?: number;
}

export interface BackendInformation {
  backend: BackendName;
  device: Device;
  precision: Precision;
  threads: number;
  tfjs: string;
  /** TensorFlow's version with `tensorflow`, else null. */
  tensorflow: string | null;
  /** oneDNN's version with `native`, else null. */
  oneDnn: string | null;
  /** With `native`, the version of the rule that chooses each convolution's algorithm; else null. */
  algorithms: number | null;
}

/** A GPU that TensorFlow can use. */
export interface Gpu {
  ordinal: number;
  name: string;
}

/** Settings of the whole process, read when TensorFlow is loaded. Call in the main thread, first. */
export function prepareProcess(): void {
  // Warnings and the banners of start-up tell a user nothing; errors stay.
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  // Without it all workers' operations share one pool of threads, of the first worker's size.
  process.env['TF_OVERRIDE_GLOBAL_THREADPOOL'] ??= '1';
}

/** The same for workers with this backend; call in the main thread before the first of them starts. */
export function prepareWorkers(backend: BackendName): void {
  prepareProcess();
  if (backend === 'tensorflow') loadDevicePin().keepFreedMemory();
}

/**
 * The first of `BACKEND_NAMES` that set-up could prepare, with a warning of one line unless that is the
 * first of all.
 * @param wanted what the user forces, or the devices require
 * @throws UserError if `wanted` is not available, with the remedy
 */
export function availableBackend(wanted?: BackendName): { backend: BackendName; warning?: string } {
  if (wanted !== undefined) {
    const reason = whyMissing(wanted);
    if (reason === null) return { backend: wanted };
    throw new UserError(`no ${wanted} backend: ${reason}`);
  }
  const reason = whyMissing('native');
  if (reason === null) return { backend: 'native' };
  const backend = whyMissing('tensorflow') === null ? 'tensorflow' : 'wasm';
  return { backend, warning: `no native backend, using the slower ${backend}: ${reason}` };
}

/** Why set-up failed, or what it built does not load, and the remedy, one line; null: nothing is missing. */
export function whyMissing(backend: BackendName): string | null {
  switch (backend) {
    case 'native':
      if (!nativeIsPrepared()) return recordedReason(addonPlaces('twotower').unavailable);
      try {
        loadNativeAddon();
        return null;
      } catch (error) {
        return notLoaded(error);
      }
    case 'tensorflow':
      return tensorFlowIsPrepared() ? null : recordedReason(join(addonFolder, '.unavailable'));
    case 'wasm':
      return null;
  }
}

/**
 * Prepares the calling thread to compute with tfjs.
 * @throws UserError if the device is not one of the backend's, or it does not have the precision there;
 *   TensorFlow's own error for a GPU that it
 *   does not have, at the first operation
 */
export async function useBackend(options: BackendOptions): Promise<BackendInformation> {
  const { backend, device, threads, logicalCpus = 1, logicalCpu = 0 } = options;
  const precision = options.precision ?? 'float32';
  if (backend !== 'tensorflow' && device !== 'cpu') {
    throw new UserError(`the ${backend} backend computes on the CPU only, not on ${device}`);
  }
  requirePrecision(precision, backend);
  // Imported here, as the main thread computes nothing and tfjs takes half a second to load.
  const tf = await import('@tensorflow/tfjs');
  let tensorflow: string | null = null;
  let native: NativeInformation | null = null;
  switch (backend) {
    case 'native': {
      const { useNative } = await import('./native/native.js');
      native = await useNative(threads, precision === 'bf16' ? 'bfloat16' : 'float32');
      break;
    }
    case 'tensorflow': {
      const name =
        device === 'cpu' ? `/device:CPU:${logicalCpu}` : `/device:${device.toUpperCase()}`;
      const { useTensorFlow } = await import('./tensorflow.js');
      tensorflow = await useTensorFlow(name, { threads, logicalCpus });
      break;
    }
    case 'wasm': {
      const { useWasm } = await import('./wasm.js');
      await useWasm();
    }
  }
  const { registerReluGradient } = await import('./relu_gradient.js');
  registerReluGradient();
  const { registerFusedGradients } = await import('./fused.js');
  registerFusedGradients();
  await tf.ready();
  return {
    backend,
    device,
    precision,
    threads,
    tfjs: tf.version_core,
    tensorflow,
    oneDnn: native?.oneDnn ?? null,
    algorithms: native?.algorithms ?? null,
  };
}

/** @throws UserError if the backend does not have the precision on this machine */
export function requirePrecision(precision: Precision, backend: BackendName): void {
  if (precision === 'float32') return;
  if (backend !== 'native') {
    throw new UserError(`bf16 is computed by the native backend only; the backend is ${backend}`);
  }
  if (!loadNativeAddon().information().bfloat16) {
    throw new UserError('this processor does not multiply bf16 numbers; leave --precision out');
  }
}

/** What a backend shows when it is loaded. */
export interface Probe {
  information: BackendInformation;
  /** In the order of their ordinals. */
  gpus: Gpu[];
}

/** Loads a backend in a worker thread of its own, which ends with the answer. */
export function probe(backend: BackendName): Promise<Probe> {
  const worker = new Worker(new URL('./probe_worker.js', import.meta.url), {
    workerData: { backend },
  });
  return new Promise<Probe>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => {
      reject(new Error(`the thread that loads ${backend} ended with code ${code}`));
    });
  });
}

/** What an NVIDIA driver shows of itself: on Linux, in a container, and in Windows' Linux. */
const NVIDIA_TRACES = ['/proc/driver/nvidia/version', '/dev/nvidiactl', '/dev/dxg'];

/**
 * The GPUs that TensorFlow can use; none, at once, where there is no NVIDIA driver, and none with a warning
 * of one line where TensorFlow does not load. It is not loaded into the calling thread.
 */
export async function listGpus(): Promise<{ gpus: Gpu[]; warning?: string }> {
  if (!NVIDIA_TRACES.some((path) => existsSync(path)) || !tensorFlowIsPrepared()) {
    return { gpus: [] };
  }
  try {
    return { gpus: (await probe('tensorflow')).gpus };
  } catch (error) {
    return { gpus: [], warning: `no GPU without the tensorflow backend: ${notLoaded(error)}` };
  }
}
