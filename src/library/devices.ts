/** Where the towers compute: what a caller of the library asks for, and what that comes to on this host. */
import {
  availableBackend,
  listGpus,
  prepareProcess,
  requirePrecision,
} from '../backend/backend.js';
import type { BackendName } from '../backend/backend.js';
import type { Precision } from '../backend/numerics.js';
import { resolvePlacement } from '../parallel/placement.js';
import type { Machine, Placement } from '../parallel/placement.js';
import { usableCores } from '../usable_cores.js';

/** Devices to compute on (default: the usable GPUs, else workers on the CPU). */
export interface Devices {
  /** One worker on each of these GPUs, by ordinal; repeated ordinals share a GPU. */
  gpus?: number[] | undefined;
  /** Number of workers on the CPU. */
  cpu?: number | undefined;
  /** CPU threads per worker (default: an equal share of the cores that this process may use). */
  threads?: number | undefined;
  /** Makes it an error if a CPU would stand in for a GPU. */
  requireGpu?: boolean | undefined;
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
  const machine = {
    gpus,
    cores: usableCores(),
    cpuBackend: mayUseGpus ? undefined : given.backend,
  };
  const resolved = resolvePlacement(
    {
      gpus: given.gpus,
      cpu: given.cpu,
      towers,
      threads: given.threads,
      requireGpu: given.requireGpu,
    },
    presetTowers,
    machine,
    processes,
  );
  const onGpus = resolved.placement.some(({ device }) => device !== 'cpu');
  const { backend, warning } = availableBackend(onGpus ? found?.backend : given.backend);
  const precision = given.precision ?? 'float32';
  for (const { device } of resolved.placement) requirePrecision(precision, backend, device);
  const warnings = [found?.warning, warning, ...resolved.warnings].filter(
    (one) => one !== undefined,
  );
  return { ...resolved, backend, precision, machine, warnings };
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
