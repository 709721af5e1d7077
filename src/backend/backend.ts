/**
 * Chooses a tfjs backend and prepares a thread for computing with it.
 *
 * The main thread calls `prepareProcess` before its first worker; each worker calls `useBackend` before
 * its first tensor, and from then on tfjs computes on that worker's device.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { UserError } from '../errors.js';
import { addonFolder, loadDevicePin, tensorFlowIsPrepared } from './device_pin.js';

export type BackendName = 'tensorflow' | 'wasm';

/** Where a worker computes. */
export type Device = 'cpu' | `gpu:${number}`;

export interface BackendOptions {
  backend: BackendName;
  device: Device;
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
  threads: number;
  tfjs: string;
  /** TensorFlow's version; null with `wasm`. */
  tensorflow: string | null;
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
  if (tensorFlowIsPrepared()) loadDevicePin().keepFreedMemory();
}

/**
 * The backend that works here: TensorFlow if set-up could prepare it, else `wasm` with a warning of one
 * line.
 * @param wanted what the user forces, if they do
 * @throws UserError if `wanted` is not available, with the remedy
 */
export function availableBackend(wanted?: BackendName): { backend: BackendName; warning?: string } {
  if (wanted === 'wasm') return { backend: 'wasm' };
  if (tensorFlowIsPrepared()) return { backend: 'tensorflow' };
  const reason = whyTensorFlowIsMissing();
  if (wanted === 'tensorflow') throw new UserError(`no TensorFlow backend: ${reason}`);
  return { backend: 'wasm', warning: `no TensorFlow backend, using the slower wasm: ${reason}` };
}

/** What set-up recorded when it failed, and what to do then; one line. */
export function whyTensorFlowIsMissing(): string {
  const record = join(addonFolder, '.unavailable');
  if (!existsSync(record)) return 'it is not set up; run npm run setup';
  const { reason } = JSON.parse(readFileSync(record, 'utf8')) as { reason: string };
  return `${reason}; then run npm run setup`;
}

/**
 * Prepares the calling thread to compute with tfjs.
 * @throws UserError if the device is not one of the backend's; TensorFlow's own error for a GPU that it
 *   does not have, at the first operation
 */
export async function useBackend(options: BackendOptions): Promise<BackendInformation> {
  const { backend, device, threads, logicalCpus = 1, logicalCpu = 0 } = options;
  // Imported here, as the main thread computes nothing and tfjs takes half a second to load.
  const tf = await import('@tensorflow/tfjs');
  let tensorflow: string | null = null;
  if (backend === 'tensorflow') {
    const name = device === 'cpu' ? `/device:CPU:${logicalCpu}` : `/device:${device.toUpperCase()}`;
    const { useTensorFlow } = await import('./tensorflow.js');
    tensorflow = await useTensorFlow(name, { threads, logicalCpus });
  } else {
    if (device !== 'cpu') {
      throw new UserError(`the wasm backend computes on the CPU only, not on ${device}`);
    }
    const { useWasm } = await import('./wasm.js');
    await useWasm();
  }
  const { registerReluGradient } = await import('./relu_gradient.js');
  registerReluGradient();
  await tf.ready();
  return { backend, device, threads, tfjs: tf.version_core, tensorflow };
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
 * The GPUs that TensorFlow can use; none, at once, where there is no NVIDIA driver. TensorFlow is not
 * loaded into the calling thread.
 */
export async function listGpus(): Promise<Gpu[]> {
  if (!NVIDIA_TRACES.some((path) => existsSync(path)) || !tensorFlowIsPrepared()) return [];
  return (await probe('tensorflow')).gpus;
}
