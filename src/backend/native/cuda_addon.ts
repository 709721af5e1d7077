/**
 * Loads the native backend's addon for NVIDIA's GPUs: kernels of our own, cuBLASLt and cuDNN. It opens NVIDIA's libraries at
 * run time, so that it loads without them. What its functions have in common with the CPU's: addon.ts. What differs:
 * - Arrays are objects that `describeArray` has tied to a part of the device's memory.
 * - A function returns when its work is enqueued on the calling thread's stream. Work is done in the order of the calls.
 * - What fails on the device makes a later call fail, at the latest the next `readArray` or `synchronize`.
 * - Values on the device throw no errors: `gather` gives NaN, or 0 if it gathers no floats, for an index that is out of range,
 *   and `softmaxCrossEntropy` gives NaN for such a label.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addonPlaces } from '../../set_up_parts.js';
import type { GpuMemory } from '../capabilities.js';
import type { DeviceKernels } from './addon.js';
import type { CopyFunctions } from './cuda_copies.js';
import type { InputFunctions } from './cuda_input.js';
import type { JpegFunctions } from './cuda_jpegs.js';
import type { NcclFunctions } from './cuda_nccl.js';
import type { ArrayType } from './device_backend.js';

/** A piece of the device's memory. It is freed when it is collected, at the latest. */
export interface DeviceMemory {
  readonly brand: unique symbol;
}

/** Recorded work. It is freed when it is collected, at the latest. */
export interface CudaGraph {
  readonly graphBrand: unique symbol;
}

/** A GPU that the driver shows. */
export interface CudaGpu {
  ordinal: number;
  name: string;
  /** `GPU-…`, as nvidia-smi prints it. */
  uuid: string;
  bytes: number;
  /** Compute capability, e.g. `9.0`. */
  capability: string;
}

/** Versions of CUDA that the driver and NVRTC have, and the files of all libraries. */
export interface CudaLibraries {
  cuda: string;
  nvrtc: string;
  driverFile: string;
  nvrtcFile: string;
  cublasLtFile: string;
  cudnnFile: string;
}

/** Values of a float32, int32 or bool tensor in the CPU's memory. */
type HostArray = Float32Array | Int32Array | Uint8Array;

export interface CudaAddon
  extends DeviceKernels<object>, InputFunctions, CopyFunctions, JpegFunctions, NcclFunctions {
  /** Folders in which libraries are looked for before the system's loader path. The first call of the process counts. */
  lookForLibraries(folders: string[]): void;
  /** In the order of their ordinals; fails without a driver. */
  gpus(): CudaGpu[];
  /** Opens all libraries. */
  libraries(): CudaLibraries;
  /**
   * The calling thread computes on this GPU from now on.
   *
   * @param source text of the kernels
   * @param share part of the GPU's memory that the thread may hold, from 0 to 1
   */
  openGpu(ordinal: number, source: string, share: number): void;
  /** Calls `makeRoom`, which may free memory, before an allocation fails. */
  whenFull(makeRoom: () => void): void;
  memory(): GpuMemory;
  /** Bytes that the calling thread holds of the GPU's memory. */
  heldBytes(): number;
  /** Waits for all work of the calling thread. */
  synchronize(): void;
  allocateMemory(bytes: number): DeviceMemory;
  /** Waits for all work first. */
  freeMemory(memory: DeviceMemory): void;
  /** Makes `array` an array of `length` elements from the byte `start` on. */
  describeArray(
    array: object,
    memory: DeviceMemory,
    type: ArrayType,
    start: number,
    length: number,
  ): void;
  /** Both of one type and length; waits for the values. */
  readArray(from: object, to: HostArray): void;
  /** Both of one type and length. `from` may be changed when it returns, or once the copy is done if it is page-locked. */
  writeArray(from: HostArray, to: object): void;

  /** An event of this thread's GPU, for any thread of the process. Only an event that is timed has a time. */
  createEvent(isTimed: boolean): bigint;
  /** Milliseconds between two timed events, both of which have happened. */
  elapsedMs(from: bigint, to: bigint): number;
  /** The event happens when the GPU has done what this thread has enqueued so far. */
  recordEvent(event: bigint): void;
  /** What this thread enqueues from now on waits for the event; the thread does not. */
  waitForEvent(event: bigint): void;
  /**
   * What the thread asks of the GPU until `endGraph` is recorded instead of done. Values that are written meanwhile are constants of
   * the graph. Nothing can be read or waited for, and the memory that is used must stay while the graph exists.
   */
  beginGraph(): void;
  endGraph(): CudaGraph;
  /** Forgets what was recorded; nothing happens if nothing was. */
  abandonGraph(): void;
  /** How many words the keys of its dropout masks have, two each. */
  keyWordsOf(graph: CudaGraph): number;
  /**
   * Does what was recorded.
   *
   * @param keys of the dropout masks, in the order in which they were made
   * @returns false if nothing was done because scratch memory has moved: the work must be recorded again
   */
  repeatGraph(graph: CudaGraph, keys: Int32Array): boolean;
  freeGraph(graph: CudaGraph): void;

  addressOf(array: object): bigint;
  /** Memory that another thread of the process has allocated, and keeps. */
  foreignMemory(address: bigint, bytes: number): DeviceMemory;
  /** Whether kernels of this thread can read the memory of that GPU. If not, `copyFromGpu` brings it across. */
  readsInPlace(ordinal: number): boolean;
  copyFromGpu(ordinal: number, from: bigint, to: object): void;
}

const addonFile = addonPlaces('twotower_cuda').file;

/** Whether set-up has built the addon. */
export function cudaIsPrepared(): boolean {
  return existsSync(addonFile);
}

let loaded: CudaAddon | undefined;

/** The addon, the same object for all of a thread; each thread loads it for itself. */
export function loadCudaAddon(): CudaAddon {
  if (loaded === undefined) {
    loaded = createRequire(import.meta.url)(addonFile) as CudaAddon;
    loaded.lookForLibraries(libraryFolders(process.env));
  }
  return loaded;
}

/** The text of all kernels. What they share is first. */
export function kernelSource(): string {
  const folder = fileURLToPath(new URL('../../../../native/cuda/kernels/', import.meta.url));
  const shared = ['parameters.h', 'common.cu'];
  const others = readdirSync(folder).filter(
    (name) => name.endsWith('.cu') && !shared.includes(name),
  );
  return [...shared, ...others.sort()]
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('');
}

/**
 * Folders that may have NVIDIA's libraries, the preferred ones first: `TWOTOWER_CUDA`; those of Python's packages, which PyTorch
 * brings too, in an active virtual environment, for the user and for all users; the CUDA toolkit's; those that set-up has fetched
 * (scripts/cuda_libraries.mjs).
 */
export function libraryFolders(environment: NodeJS.ProcessEnv): string[] {
  const { TWOTOWER_CUDA, VIRTUAL_ENV, XDG_CACHE_HOME, HOME = homedir() } = environment;
  const roots = [VIRTUAL_ENV, join(HOME, '.local'), '/usr/local', '/usr'];
  const packages = roots.flatMap((root) => {
    if (root === undefined) return [];
    return foldersIn(join(root, 'lib'))
      .filter((path) => /python3[^/]*$/.test(path))
      .flatMap((path) => [join(path, 'site-packages'), join(path, 'dist-packages')]);
  });
  const librariesIn = (path: string): string[] =>
    foldersIn(join(path, 'nvidia')).map((folder) => join(folder, 'lib'));
  const cache = join(XDG_CACHE_HOME || join(HOME, '.cache'), 'twotower');
  const fetched = ['cuda-libraries', 'cuda-nvjpeg'].map((name) => join(cache, name));
  return [
    TWOTOWER_CUDA,
    ...packages.flatMap(librariesIn),
    '/usr/local/cuda/lib64',
    ...fetched.flatMap(librariesIn),
  ].filter((path) => path !== undefined && existsSync(path)) as string[];
}

function foldersIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((name) => join(folder, name));
}
