/** Where the towers compute: what a caller of the library asks for, and what that comes to on this host. */
import {
  availableBackend,
  listGpus,
  prepareProcess,
  requirePrecision,
} from '../backend/backend.js';
import type { BackendName, Gpu } from '../backend/backend.js';
import { chooseJpegDecoder } from '../data/choose_jpeg_decoder.js';
import type { JpegDecoder } from '../data/choose_jpeg_decoder.js';
import { UserError } from '../errors.js';
import type { Precision } from '../backend/numerics.js';
import { resolvePlacement } from '../parallel/placement.js';
import type { Machine, Placement } from '../parallel/placement.js';
import { usableCores } from '../usable_cores.js';

/** Devices to compute on (default: the usable GPUs, else workers on the CPU). */
export interface Devices {
  /** One worker on each of these GPUs, by ordinal or UUID; a GPU that is repeated is shared. */
  gpus?: (number | string)[] | undefined;
  /** Number of workers on the CPU. */
  cpu?: number | undefined;
  /** CPU threads per worker (default: an equal share of the cores that this process may use). */
  threads?: number | undefined;
  /** Part of each GPU's memory that the workers on it may hold together, above 0 and at most 1 (default: all). */
  gpuMemory?: number | undefined;
  /** Makes it an error if a CPU would stand in for a GPU. */
  requireGpu?: boolean | undefined;
  /** Lets CPUs stand in for GPUs that are there and do not work, which is an error otherwise. */
  allowCpu?: boolean | undefined;
  /** Default: the first that works here. */
  backend?: BackendName | undefined;
  /** Operands of convolutions and matrix products (default `float32`). */
  precision?: Precision | undefined;
}

/** What `Devices` comes to on this host. */
export interface ResolvedPlacement {
  /** Workers of this process. The ranks are those of the first process of a replica. */
  placement: Placement;
  towers: number;
  /** Processes among which a replica is divided. */
  processesPerReplica: number;
  backend: BackendName;
  precision: Precision;
  jpegDecoder: JpegDecoder;
  /** What is to be told if there are JPEGs. */
  jpegWarnings: string[];
  /** What the machine offers. */
  machine: Machine;
  warnings: string[];
}

/**
 * Sets the engine up if that has not been done, and resolves the placement.
 *
 * @param towers number asked for, or that of an existing run; undefined: one per worker
 * @param presetTowers number of towers if no device is named either
 * @param processes among which a replica may be divided, each with the given devices
 */
export async function resolveDevices(
  given: Devices,
  towers: number | undefined,
  presetTowers: number,
  processes = 1,
): Promise<ResolvedPlacement> {
  await prepareEngine(given);
  prepareProcess();
  const mayUseGpus = given.backend !== 'wasm';
  const found = mayUseGpus ? await listGpus(given.backend) : undefined;
  const gpus = found?.gpus ?? [];
  const failure = found?.failure;
  if (failure !== undefined && given.cpu === undefined && given.allowCpu !== true) {
    throw new UserError(`${failure}; or give --allow-cpu to compute on the CPU`);
  }
  const machine = {
    gpus,
    visibleGpus: process.env['CUDA_VISIBLE_DEVICES'],
    cores: usableCores(),
    cpuBackend: mayUseGpus ? undefined : given.backend,
  };
  const resolved = resolvePlacement(
    {
      gpus: given.gpus?.map((gpu) => ordinalOfGpu(gpu, gpus)),
      cpu: given.cpu,
      towers,
      threads: given.threads,
      gpuMemory: given.gpuMemory,
      requireGpu: given.requireGpu,
    },
    presetTowers,
    machine,
    processes,
  );
  const onGpus = resolved.placement.some(({ device }) => device !== 'cpu');
  const { backend, warning } = availableBackend(onGpus ? found?.backend : given.backend);
  if (given.gpuMemory !== undefined && onGpus && backend !== 'native') {
    throw new UserError(`--gpu-memory needs the native backend, but the backend is ${backend}`);
  }
  const precision = given.precision ?? 'float32';
  for (const { device } of resolved.placement) requirePrecision(precision, backend, device);
  const mixed = warningOfKinds(resolved.placement, gpus);
  const warnings = [failure, warning, mixed, ...resolved.warnings].filter(
    (one) => one !== undefined,
  );
  const devices = resolved.placement.map(({ device }) => device);
  const jpegs = chooseJpegDecoder(backend, devices);
  return { ...resolved, backend, precision, ...jpegs, machine, warnings };
}

/** A line if the workers' GPUs differ; undefined if they do not. */
function warningOfKinds(placement: Placement, gpus: readonly Gpu[]): string | undefined {
  const used = gpus.filter(({ ordinal }) =>
    placement.some(({ device }) => device === `gpu:${ordinal}`),
  );
  const other = used.find(({ name }) => name !== used[0]!.name);
  if (other === undefined) return undefined;
  const [one, two] = [used[0]!, other].map(({ ordinal, name }) => `gpu:${ordinal} (${name})`);
  return `${one} and ${two} are of different kinds: towers wait for the slower one in each step; --gpus takes two of one kind`;
}

/**
 * The ordinal of a GPU that is named by it or by its UUID, of which the beginning is enough.
 *
 * @throws UserError unless one GPU has the UUID
 */
function ordinalOfGpu(gpu: number | string, gpus: readonly Gpu[]): number {
  if (typeof gpu === 'number') return gpu;
  const [found, ...others] = gpus.filter(({ uuid }) => uuid?.startsWith(gpu));
  if (found !== undefined && others.length === 0) return found.ordinal;
  const reason = found === undefined ? 'no usable GPU has' : 'several GPUs have';
  throw new UserError(`${reason} the UUID ${gpu}: twotower doctor lists them`);
}

/**
 * Prepares what is not yet in place, as after an installation: compiles the addons, and fetches TensorFlow if
 * the devices need it. If that fails, `availableBackend` falls back.
 */
async function prepareEngine(given: Devices): Promise<void> {
  const steps = new URL('../../../scripts/steps.mjs', import.meta.url).href;
  const setUp = (await import(steps)) as { prepareEngine: (devices: Devices) => Promise<void> };
  await setUp.prepareEngine(given);
}
