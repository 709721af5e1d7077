/**
 * Where the towers compute, as a caller of the library says it, and what that comes to on this host.
 * Called by `train`, `compare` and `evaluate` of the library.
 */
import { availableParallelism } from 'node:os';
import {
  availableBackend,
  listGpus,
  prepareProcess,
  requirePrecision,
} from '../backend/backend.js';
import type { BackendName, Precision } from '../backend/backend.js';
import { resolvePlacement } from '../parallel/placement.js';
import type { Machine, Placement } from '../parallel/placement.js';

/** Without `gpus` and `cpu`: the GPUs that can be used, else workers on the CPU. */
export interface Devices {
  /** One worker on each of these GPUs, by ordinal; repeated ordinals share a GPU. */
  gpus?: number[] | undefined;
  /** So many workers on the CPU. */
  cpu?: number | undefined;
  /** An error where a CPU would stand in for a GPU. */
  requireGpu?: boolean | undefined;
  /** Without it the first that works here. */
  backend?: BackendName | undefined;
  /** Operands of convolutions and matrix products; `float32` unless given. */
  precision?: Precision | undefined;
}

/** What `Devices` comes to on this host. */
export interface ResolvedPlacement {
  placement: Placement;
  towers: number;
  backend: BackendName;
  precision: Precision;
  /** What the machine offers. */
  machine: Machine;
  warnings: string[];
}

/**
 * Sets the engine up where it is not yet, and finds the placement.
 *
 * @param towers asked for or, for a run that exists, its towers; undefined: one a worker
 * @param presetTowers where no device is named either
 */
export async function resolveDevices(
  given: Devices,
  towers: number | undefined,
  presetTowers: number,
): Promise<ResolvedPlacement> {
  await prepareEngine(given);
  prepareProcess();
  const mayUseGpus = given.backend === undefined || given.backend === 'tensorflow';
  const { gpus, warning: gpuWarning } = mayUseGpus ? await listGpus() : { gpus: [] };
  const machine = {
    gpus,
    cores: availableParallelism(),
    cpuBackend: mayUseGpus ? undefined : given.backend,
  };
  const resolved = resolvePlacement(
    {
      gpus: given.gpus,
      cpu: given.cpu,
      towers,
      requireGpu: given.requireGpu,
    },
    presetTowers,
    machine,
  );
  const onGpus = resolved.placement.some(({ device }) => device !== 'cpu');
  const { backend, warning } = availableBackend(onGpus ? 'tensorflow' : given.backend);
  const precision = given.precision ?? 'float32';
  requirePrecision(precision, backend);
  const warnings = [gpuWarning, warning, ...resolved.warnings].filter((one) => one !== undefined);
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
