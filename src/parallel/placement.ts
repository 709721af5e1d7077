/**
 * Which ranks are on which worker, and where each worker computes: `[[0],[1]]` is split, `[[0,1]]` grouped, `[[0]]`
 * dense. Pure.
 */
import type { BackendName, Device } from '../backend/backend.js';
import { UserError } from '../errors.js';
import type { OpenedGpu } from './messages.js';

/** One worker thread: the ranks it computes, and where. */
export interface WorkerPlacement {
  /** Ascending ranks of this worker. */
  ranks: number[];
  /** Where it computes. */
  device: Device;
  /** What was asked for; differs from `device` if no GPU is usable. */
  requested: Device;
  /** CPU threads of its numeric backend. */
  threads: number;
  /** Part of its GPU's memory that it may hold, from 0 to 1 (default: all). */
  gpuMemory?: number;
  /** The GPU, once the worker has opened it. */
  gpu?: OpenedGpu;
}

/** All workers, in the order of their first ranks. */
export type Placement = WorkerPlacement[];

/** The placement with the GPUs that the workers have opened. @param opened what each of them found */
export function withGpus(placement: Placement, opened: { gpu?: OpenedGpu }[]): Placement {
  return placement.map((worker, index) => {
    const { gpu } = opened[index]!;
    return gpu === undefined ? worker : { ...worker, gpu };
  });
}

export interface PlacementRequest {
  /** `--gpus`: one worker per entry. */
  gpus?: number[] | undefined;
  /** `--cpu N`: N workers on the CPU. */
  cpu?: number | undefined;
  /** `--towers` (default: one per worker). */
  towers?: number | undefined;
  /** `--threads`: CPU threads per worker (default: an equal share of the cores). */
  threads?: number | undefined;
  /** `--gpu-memory`: part of each GPU's memory, which its workers divide evenly. */
  gpuMemory?: number | undefined;
  /** `--require-gpu`: a CPU in place of a GPU is an error. */
  requireGpu?: boolean | undefined;
}

/** What the machine offers. */
export interface Machine {
  gpus: { ordinal: number; name: string }[];
  /** The variable `CUDA_VISIBLE_DEVICES`, which hides all GPUs that it does not name; undefined if unset. */
  visibleGpus?: string | undefined;
  /** CPU cores that this process may use. */
  cores: number;
  /** The backend that was asked for, if it does not compute on GPUs: then none were looked for. */
  cpuBackend?: BackendName | undefined;
}

/** Far above what any layer can be divided by. */
const MOST_WORKERS = 1024;

/** Starting more threads than that would exhaust the system. */
const MOST_THREADS = 1024;

/**
 * @param presetTowers number of towers if neither devices nor `--towers` set it
 * @param processes among which a replica may be divided; the request says what each of them has
 * @returns the placement on the first process of a replica, the processes of a replica, and a warning if a CPU stands in
 *   for a GPU
 * @throws UserError for an ordinal that does not exist, a GPU that is required and absent, towers that the workers
 *   cannot share evenly, or a number of threads out of range
 */
export function resolvePlacement(
  request: PlacementRequest,
  presetTowers: number,
  machine: Machine,
  processes = 1,
): { placement: Placement; towers: number; processesPerReplica: number; warnings: string[] } {
  if (request.gpus !== undefined && request.cpu !== undefined) {
    throw new UserError('--gpus and --cpu exclude each other: give one of them');
  }
  const warnings: string[] = [];
  let requested: Device[];
  if (request.gpus !== undefined) {
    bounded(request.gpus.length, 'workers');
    requested = request.gpus.map((ordinal): Device => `gpu:${ordinal}`);
  } else if (request.cpu !== undefined) {
    requested = Array.from({ length: bounded(request.cpu, 'workers') }, (): Device => 'cpu');
  } else {
    const towers = bounded(request.towers ?? presetTowers, 'towers');
    const length = Math.max(1, Math.floor(towers / processes));
    requested = Array.from({ length }, (_, rank): Device => {
      const gpu = machine.gpus[rank % Math.max(1, machine.gpus.length)];
      return gpu === undefined ? 'cpu' : `gpu:${gpu.ordinal}`;
    });
  }
  const { reason, remedy } = whyNoGpu(machine);
  if (request.requireGpu === true && requested.includes('cpu')) {
    throw new UserError(
      machine.gpus.length === 0
        ? `--require-gpu: ${reason}; ${remedy}`
        : '--require-gpu: the placement has CPU workers; name the GPUs with --gpus',
    );
  }

  const devices = requested.map((device) => usableDevice(device, machine, request.requireGpu));
  if (devices.some((device, worker) => device !== requested[worker])) {
    warnings.push(
      `${reason}: ${requested.join(' and ')} ${requested.length === 1 ? 'is' : 'are'} ` +
        `carried out by CPU workers (${remedy})`,
    );
  }

  const workers = devices.length;
  const devicesGiven = request.gpus !== undefined || request.cpu !== undefined;
  const towers = request.towers ?? (devicesGiven ? processes * workers : presetTowers);
  const processesPerReplica = Math.min(processes, Math.max(1, towers / workers));
  const all = processesPerReplica * workers;
  if (processes > 1 && (processes % processesPerReplica !== 0 || towers % all !== 0)) {
    throw new UserError(
      `${towers} towers cannot be divided evenly among processes of ${workers} ${workers === 1 ? 'worker' : 'workers'}, of which there are ${processes}: ` +
        `start a number of processes that is a multiple or a divisor of ${towers} / ${workers}, or give --towers ${processes * workers}`,
    );
  }
  if (towers % all !== 0) {
    throw new UserError(
      `${towers} towers cannot be divided evenly among ${workers} workers: name a number of devices that divides ${towers}, or make --towers a multiple of ${workers}`,
    );
  }
  const share = towers / all;
  const threads = threadsOf(request, machine, workers);
  const placement = devices.map((device, worker) => ({
    ranks: Array.from({ length: share }, (_, index) => worker * share + index),
    device,
    requested: requested[worker]!,
    threads,
    ...(request.gpuMemory !== undefined && {
      gpuMemory: request.gpuMemory / devices.filter((other) => other === device).length,
    }),
  }));
  return { placement, towers, processesPerReplica, warnings };
}

/** CPU threads of each worker. */
function threadsOf({ threads }: PlacementRequest, { cores }: Machine, workers: number): number {
  if (threads === undefined) {
    return Math.min(MOST_THREADS, Math.max(1, Math.floor(cores / workers)));
  }
  if (Number.isInteger(threads) && threads >= 1 && threads <= MOST_THREADS) return threads;
  throw new UserError(`--threads ${threads}: give a whole number from 1 to ${MOST_THREADS}`);
}

/** Checks a number of towers or workers: an array of any length that can be typed would not fit into memory. */
function bounded(count: number, of: 'towers' | 'workers'): number {
  if (count >= 1 && count <= MOST_WORKERS) return count;
  throw new UserError(`${count} ${of}: give a number from 1 to ${MOST_WORKERS}`);
}

/** What to say of GPUs that may be there unseen. */
function hiddenBy({ visibleGpus }: Machine): string {
  return visibleGpus === undefined ? '' : `; CUDA_VISIBLE_DEVICES=${visibleGpus} hides all others`;
}

function whyNoGpu(machine: Machine): { reason: string; remedy: string } {
  const { cpuBackend } = machine;
  return cpuBackend === undefined
    ? {
        reason: `no usable GPU on this host${hiddenBy(machine)}`,
        remedy: 'run `twotower doctor` to see why',
      }
    : {
        reason: `backend ${cpuBackend} computes only on the CPU`,
        remedy: 'leave --backend out for GPUs',
      };
}

function usableDevice(
  requested: Device,
  machine: Machine,
  requireGpu: boolean | undefined,
): Device {
  if (requested === 'cpu') return 'cpu';
  if (machine.gpus.length === 0) {
    if (requireGpu === true) {
      const { reason, remedy } = whyNoGpu(machine);
      throw new UserError(`${requested} is required (--require-gpu): ${reason}; ${remedy}`);
    }
    return 'cpu';
  }
  const ordinal = Number(requested.slice('gpu:'.length));
  if (machine.gpus.some((gpu) => gpu.ordinal === ordinal)) return requested;
  const present = machine.gpus.map((gpu) => `${gpu.ordinal} (${gpu.name})`).join(', ');
  throw new UserError(
    `GPU ${ordinal} does not exist on this host: there are ${present}${hiddenBy(machine)}`,
  );
}
