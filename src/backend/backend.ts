/**
 * Chooses a tfjs backend and prepares a thread for computing with it.
 *
 * The main thread calls `prepareProcess` before its first worker. Each worker calls `useBackend` before its first
 * tensor; from then on tfjs computes on that worker's device.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { UserError, messageOf } from '../errors.js';
import { addonPlaces, notLoaded, recordedReason } from '../set_up_parts.js';
import { loadDevicePin, tensorFlowIsPrepared } from './device_pin.js';
import { loadNativeAddon, nativeIsPrepared } from './native/addon.js';
import { cudaIsPrepared, loadCudaAddon } from './native/cuda_addon.js';
import type { ConvolutionPassAlgorithm } from './native/addon_layers.js';
import type { Precision } from './numerics.js';

/** In the order in which a CPU worker prefers them. */
export const BACKEND_NAMES = ['native', 'tensorflow', 'wasm'] as const;

/** A numeric backend of TensorFlow.js. */
export type BackendName = (typeof BACKEND_NAMES)[number];

/** Where a worker computes. */
export type Device = 'cpu' | `gpu:${number}`;

export interface BackendOptions {
  backend: BackendName;
  device: Device;
  /** Default float32. */
  precision?: Precision;
  /** Threads that one operation may use; `wasm` always uses one. */
  threads: number;
  /** Part of the GPU's memory that the thread may hold, from 0 to 1 (default 1); TensorFlow takes what it wants. */
  gpuMemory?: number;
  /**
   * CPU devices that TensorFlow shows (default 1); the thread computes on the one that `logicalCpu` names
   * (default 0). They let device placement be tried without GPUs.
   */
  logicalCpus?: number;
  logicalCpu?: number;
  /** How the native backend computes these passes of convolutions, instead of by the cheapest algorithm (default none). */
  keptAlgorithms?: readonly ConvolutionPassAlgorithm[];
}

export interface BackendInformation {
  backend: BackendName;
  device: Device;
  precision: Precision;
  threads: number;
  tfjs: string;
  /** TensorFlow's version; null on other backends. */
  tensorflow: string | null;
  /** oneDNN's version; null on other backends. */
  oneDnn: string | null;
  /** Version of the native backend's rule that chooses a convolution's algorithm; null on other backends and on GPUs. */
  algorithms: number | null;
  /** CUDA's version, of NVRTC; null unless the native backend computes on a GPU. */
  cuda: string | null;
}

/** A GPU that a backend can use. */
export interface Gpu {
  ordinal: number;
  name: string;
  /** `GPU-…`, as nvidia-smi prints it; absent with TensorFlow, as are the others. */
  uuid?: string;
  bytes?: number;
  /** Compute capability, e.g. `9.0`. */
  capability?: string;
}

/** A backend as the main thread sees it: only `use` loads tfjs. */
interface Backend {
  /** Why set-up failed, or why what it built does not load, and the remedy, in one line; null if all is there. */
  whyMissing(): string | null;
  computesOnGpus: boolean;
  sharedMemoryOf(device: Device): 'host' | 'gpus' | null;
  /** Why it does not compute in this precision on the device, and the remedy, in one line; null if it does. */
  whyNot(precision: ReducedPrecision, device: Device): string | null;
  /** Prepares the process for workers with this backend. */
  prepareWorkers(): void;
  /** Makes it tfjs's backend in the calling thread. */
  use(options: Required<BackendOptions>): Promise<Partial<LibraryVersions>>;
}

type LibraryVersions = Pick<BackendInformation, 'tensorflow' | 'oneDnn' | 'algorithms' | 'cuda'>;

type ReducedPrecision = Exclude<Precision, 'float32'>;

const hasFloat32Alone = (backend: BackendName) => (precision: ReducedPrecision) =>
  `${precision} needs the native backend, but the backend is ${backend}: give --precision float32`;

const BACKENDS: Record<BackendName, Backend> = {
  native: {
    whyMissing: () => {
      if (!nativeIsPrepared()) return recordedReason(addonPlaces('twotower').unavailable);
      try {
        loadNativeAddon();
        return null;
      } catch (error) {
        return notLoaded(error);
      }
    },
    computesOnGpus: true,
    sharedMemoryOf: (device) => (device === 'cpu' ? 'host' : 'gpus'),
    whyNot: (precision, device) => {
      // A GPU itself says so.
      if (device !== 'cpu') return null;
      if (precision === 'tf32') return 'tf32 is for GPUs: give --precision float32 or bf16';
      return loadNativeAddon().information().bf16
        ? null
        : 'this processor cannot multiply bf16 numbers: give --precision float32';
    },
    prepareWorkers: () => {},
    use: async ({ device, threads, precision, gpuMemory, keptAlgorithms }) => {
      const { useCuda, useNative } = await import('./native/native.js');
      if (device !== 'cpu') return { cuda: await useCuda(ordinalOf(device), precision, gpuMemory) };
      const { oneDnn, algorithms } = await useNative(threads, precision, keptAlgorithms);
      return { oneDnn, algorithms };
    },
  },
  tensorflow: {
    whyMissing: () =>
      tensorFlowIsPrepared()
        ? null
        : recordedReason(
            addonPlaces('tensorflow').unavailable,
            'it is fetched only if it is needed; --backend tensorflow or npm run setup fetches it',
          ),
    computesOnGpus: true,
    sharedMemoryOf: () => null,
    whyNot: hasFloat32Alone('tensorflow'),
    prepareWorkers: () => {
      forbidTf32();
      loadDevicePin().keepFreedMemory();
    },
    use: async ({ device, threads, logicalCpus, logicalCpu }) => {
      const name =
        device === 'cpu' ? `/device:CPU:${logicalCpu}` : `/device:${device.toUpperCase()}`;
      const { useTensorFlow } = await import('./tensorflow.js');
      return { tensorflow: await useTensorFlow(name, { threads, logicalCpus }) };
    },
  },
  wasm: {
    whyMissing: () => null,
    computesOnGpus: false,
    sharedMemoryOf: () => null,
    whyNot: hasFloat32Alone('wasm'),
    prepareWorkers: () => {},
    use: async () => {
      const { useWasm } = await import('./wasm.js');
      await useWasm();
      return {};
    },
  },
};

/** Applies the settings of the whole process that are read when TensorFlow loads. Call in the main thread, first. */
export function prepareProcess(): void {
  // Warnings and the banners of start-up tell a user nothing; errors stay.
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  // By default all workers' operations share one pool of threads, of the first worker's size.
  process.env['TF_OVERRIDE_GLOBAL_THREADPOOL'] ??= '1';
}

/**
 * Keeps NVIDIA's libraries from rounding the operands of float32 products to the 10 bits of TF32, as TensorFlow lets them. They read
 * this when they load. It is not for the native backend, which would have no TF32 even where that is asked for.
 */
function forbidTf32(): void {
  process.env['NVIDIA_TF32_OVERRIDE'] ??= '0';
}

/** `prepareProcess` for workers with this backend. Call in the main thread before the first of them starts. */
export function prepareWorkers(backend: BackendName): void {
  prepareProcess();
  BACKENDS[backend].prepareWorkers();
}

/**
 * Where other threads can read the backend's tensors in place: in the host's memory (its `sharedTensors`), in the GPUs' (its
 * `gpuTensors`), or nowhere.
 */
export function sharedMemoryOf(backend: BackendName, device: Device): 'host' | 'gpus' | null {
  return BACKENDS[backend].sharedMemoryOf(device);
}

/** Whether the backend cuts, flips and resizes images on the device (its `imageMaker`). */
export function makesImages(backend: BackendName, device: Device): boolean {
  return backend === 'native' && device !== 'cpu';
}

/** The ordinal of a GPU. */
export function ordinalOf(device: Exclude<Device, 'cpu'>): number {
  return Number(device.slice('gpu:'.length));
}

/**
 * The first of `BACKEND_NAMES` that set-up could prepare, with a warning of one line unless it is the first of all.
 *
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

/** Why set-up failed, or why what it built does not load, and the remedy, in one line; null if nothing is missing. */
export function whyMissing(backend: BackendName): string | null {
  return BACKENDS[backend].whyMissing();
}

/**
 * Prepares the calling thread to compute with tfjs.
 *
 * @throws UserError if the backend does not compute on the device or in the precision. TensorFlow itself reports a
 *   GPU that does not exist, at the first operation
 */
export async function useBackend(given: BackendOptions): Promise<BackendInformation> {
  const defaults = {
    precision: 'float32',
    gpuMemory: 1,
    logicalCpus: 1,
    logicalCpu: 0,
    keptAlgorithms: [],
  } as const;
  const options = { ...defaults, ...given };
  const { backend, device, threads, precision } = options;
  if (!BACKENDS[backend].computesOnGpus && device !== 'cpu') {
    throw new UserError(`the ${backend} backend computes on the CPU only, not on ${device}`);
  }
  requirePrecision(precision, backend, device);
  // Imported here, because the main thread computes nothing and tfjs takes half a second to load.
  const tf = await import('@tensorflow/tfjs-core');
  const { registerGradients } = await import('./gradients.js');
  registerGradients();
  const versions = await BACKENDS[backend].use(options);
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
    tensorflow: null,
    oneDnn: null,
    algorithms: null,
    cuda: null,
    ...versions,
  };
}

/** @throws UserError if the backend does not compute in the precision on the device */
export function requirePrecision(
  precision: Precision,
  backend: BackendName,
  device: Device = 'cpu',
): void {
  if (precision === 'float32') return;
  const reason = BACKENDS[backend].whyNot(precision, device);
  if (reason !== null) throw new UserError(reason);
}

/** What a backend shows when it is loaded. */
export interface Probe {
  information: BackendInformation;
  /** In the order of their ordinals. */
  gpus: Gpu[];
}

/** Loads a backend in a worker thread of its own, which ends with the answer. */
export function probe(backend: BackendName): Promise<Probe> {
  if (backend === 'tensorflow') forbidTf32();
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

/** GPUs, and the backend that computes on them. */
export interface UsableGpus {
  gpus: Gpu[];
  backend: BackendName;
  /** Why none can be used though there is an NVIDIA driver, and the remedy, in one line. */
  failure?: string;
}

/**
 * The GPUs that a backend can use: `native`, or TensorFlow where that is wanted or `native` is not prepared for GPUs. Without an
 * NVIDIA driver there are none, and nothing is loaded. The calling thread never loads TensorFlow.
 */
export async function listGpus(wanted?: BackendName): Promise<UsableGpus> {
  const backend = wanted ?? (cudaIsPrepared() || !tensorFlowIsPrepared() ? 'native' : 'tensorflow');
  if (!hasNvidiaDriver()) return { gpus: [], backend };
  const none = (reason: string): UsableGpus => {
    return { gpus: [], backend, failure: `no GPU with the ${backend} backend: ${reason}` };
  };
  if (backend === 'tensorflow') {
    const reason = whyMissing(backend);
    if (reason !== null) return none(reason);
    try {
      return { gpus: (await probe(backend)).gpus, backend };
    } catch (error) {
      return none(notLoaded(error));
    }
  }
  if (!cudaIsPrepared()) return none(recordedReason(addonPlaces('twotower_cuda').unavailable));
  try {
    return { gpus: loadCudaAddon().gpus(), backend };
  } catch (error) {
    return none(messageOf(error));
  }
}

/**
 * Signs of a GPU with NVIDIA's driver: on Linux and in a container, and in Windows' Linux. A container without GPUs shows its
 * host's driver in /proc, but not these.
 */
const NVIDIA_TRACES = ['/dev/nvidiactl', '/usr/lib/wsl/lib/libcuda.so.1'];

function hasNvidiaDriver(): boolean {
  const { TWOTOWER_CUDA: folder } = process.env;
  const named = folder === undefined ? [] : [join(folder, 'libcuda.so.1')];
  return [...NVIDIA_TRACES, ...named].some((path) => existsSync(path));
}
