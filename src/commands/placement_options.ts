/**
 * The options that say where the towers compute, shared by `train`, `compare` and `evaluate`.
 */
import type { Options } from 'yargs';
import { BACKEND_NAMES } from '../backend/backend.js';
import { PRECISIONS } from '../backend/numerics.js';
import type { BackendName } from '../backend/backend.js';
import type { Precision } from '../backend/numerics.js';
import { UserError } from '../errors.js';
import type { Devices } from '../library/devices.js';

const devices = { group: 'Devices:' } as const;

export const placementOptions = {
  gpus: {
    ...devices,
    requiresArg: true,
    describe:
      'One worker on each of these GPUs, such as 0,1; without it all that the towers can use',
  },
  cpu: { ...devices, requiresArg: true, describe: 'So many workers on the CPU, instead of GPUs' },
  threads: {
    ...devices,
    type: 'number',
    requiresArg: true,
    describe: 'CPU threads per worker (default: its share of the cores)',
  },
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
  threads?: number | undefined;
  requireGpu?: boolean | undefined;
  backend?: BackendName | undefined;
  precision?: Precision | undefined;
}

/** @throws UserError naming the option whose text says no devices */
export function devicesFrom(given: PlacementArguments): Devices {
  return {
    gpus: given.gpus === undefined ? undefined : ordinals(given.gpus),
    cpu: given.cpu === undefined ? undefined : workerCount(given.cpu),
    threads: given.threads,
    requireGpu: given.requireGpu,
    backend: given.backend,
    precision: given.precision,
  };
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
