/**
 * The options that say where the towers compute, shared by `train`, `compare` and `evaluate`, and the
 * placement that they ask for on this host.
 */
import { availableParallelism } from 'node:os';
import type { Options } from 'yargs';
import {
  availableBackend,
  BACKEND_NAMES,
  listGpus,
  PRECISIONS,
  prepareProcess,
  requirePrecision,
} from '../backend/backend.js';
import type { BackendName, Precision } from '../backend/backend.js';
import { UserError } from '../errors.js';
import { resolvePlacement } from '../parallel/placement.js';
import type { Machine, Placement } from '../parallel/placement.js';

const devices = { group: 'Devices:' } as const;

export const placementOptions = {
  gpus: {
    ...devices,
    requiresArg: true,
    describe:
      'One worker on each of these GPUs, such as 0,1; without it all that the towers can use',
  },
  cpu: { ...devices, requiresArg: true, describe: 'So many workers on the CPU, instead of GPUs' },
  'require-gpu': {
    ...devices,
    type: 'boolean',
    describe: 'Fail where a CPU would stand in for a GPU',
  },
  backend: {
    ...devices,
    choices: BACKEND_NAMES,
    requiresArg: true,
    describe: 'Numeric backend; without it the first that works here, on GPUs tensorflow',
  },
  precision: {
    ...devices,
    choices: PRECISIONS,
    requiresArg: true,
    describe: 'Operands of convolutions and matrix products; bf16: on the native backend',
  },
} as const satisfies Record<string, Options>;

export interface PlacementArguments {
  gpus?: string | undefined;
  cpu?: string | undefined;
  requireGpu?: boolean | undefined;
  backend?: BackendName | undefined;
  precision?: Precision | undefined;
}

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
 * @param towers `--towers` or, for a run that exists, its towers; undefined: one a worker
 * @param presetTowers where no device is named either
 */
export async function placementFrom(
  given: PlacementArguments,
  towers: number | undefined,
  presetTowers: number,
): Promise<ResolvedPlacement> {
  prepareProcess();
  const mayUseGpus = given.backend === undefined || given.backend === 'tensorflow';
  const machine = {
    gpus: mayUseGpus ? await listGpus() : [],
    cores: availableParallelism(),
  };
  const resolved = resolvePlacement(
    {
      gpus: given.gpus === undefined ? undefined : ordinals(given.gpus),
      cpu: given.cpu === undefined ? undefined : workerCount(given.cpu),
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
  const warnings = warning === undefined ? resolved.warnings : [warning, ...resolved.warnings];
  return { ...resolved, backend, precision, machine, warnings };
}

function ordinals(text: string): number[] {
  return text.split(',').map((part) => {
    if (!/^\d+$/.test(part.trim())) {
      throw new UserError(
        `--gpus takes GPU numbers divided by commas, such as 0,1; it is "${text}"`,
      );
    }
    return Number(part);
  });
}

function workerCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new UserError(`--cpu takes a number of workers, at least 1; it is "${text}"`);
  }
  return count;
}
