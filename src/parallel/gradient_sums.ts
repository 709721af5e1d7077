/**
 * The ways on which a worker's gradients are summed over hosts: by MPI, which reads them in the host's memory or the GPU's, or by
 * NCCL. All workers of a group go the same way and begin the same sums in the same order.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { capabilities } from '../backend/capabilities.js';
import type { GpuSums } from '../backend/capabilities.js';
import { POLL_MS } from './exchange.js';
import type { GradientRoute } from './messages.js';
import type { ProcessGroup, SumTimes } from './process_group.js';
import { summandOf, summandOnGpu, throwIfDeviceFailed } from './summand.js';

/** A sum that is under way. */
export interface PendingSum {
  /** Waits at most so long. @returns whether `take` may be called */
  isDone(milliseconds: number): boolean;
  /** The sum, for the caller to dispose. On a GPU, what is enqueued from then on has it. */
  take: () => tf.Tensor;
  /** When the communication thread was at it; null if the device is. */
  times: SumTimes | null;
}

export interface GradientSums {
  /**
   * @param name of the gradient; one sum of this name at a time
   * @param gradient float32; nobody else may read it from now on, but its owner may dispose it
   */
  begin(name: string, gradient: tf.Tensor): PendingSum;
  /** Waits at most so long. @returns whether the device may be read: all sums that it waits for are done */
  areDone(milliseconds: number): boolean;
  /** For how long the device was at sums since the last call, milliseconds; to be asked once all are done. */
  takeDeviceMs(): number;
}

/**
 * The sums of a group on this way. A collective of the group.
 *
 * @param check throws if another worker or host has failed, while this one waits for it
 */
export function gradientSumsOn(
  route: GradientRoute,
  group: ProcessGroup,
  check: () => void,
): GradientSums {
  if (route === 'NCCL') return sumsByNccl(capabilities().gpuSums!, group, check);
  return route === 'MPI, GPU memory' ? sumsByMpiOnGpu(group) : sumsByMpi(group);
}

/** What MPI has summed is there before the device is asked for it. */
const NOTHING_ON_DEVICE = { areDone: () => true, takeDeviceMs: () => 0 };

function sumsByMpi(group: ProcessGroup): GradientSums {
  return {
    ...NOTHING_ON_DEVICE,
    begin: (name, gradient) => {
      const { values, ready, sum } = summandOf(name, gradient);
      const times = new Float64Array(2);
      const ticket = group.allReduce(values, { times, ready });
      return { isDone: (milliseconds) => group.wait(ticket, milliseconds), take: sum, times };
    },
  };
}

function sumsByMpiOnGpu(group: ProcessGroup): GradientSums {
  return {
    ...NOTHING_ON_DEVICE,
    begin: (_name, gradient) => {
      const { values, ready, sum } = summandOnGpu(gradient);
      const times = new Float64Array(2);
      const ticket = group.allReduceOnGpu(values, { times, ready });
      return { isDone: (milliseconds) => group.wait(ticket, milliseconds), take: sum, times };
    },
  };
}

/** How long a worker that NCCL tells of a lost peer waits to be told of it by name, milliseconds. */
const NAMING_MS = 3000;

function sumsByNccl(sums: GpuSums, group: ProcessGroup, check: () => void): GradientSums {
  const id = new Uint8Array(sums.idBytes);
  if (group.rank === 0) sums.makeId(id);
  const ticket = group.broadcast(id);
  while (!group.wait(ticket, POLL_MS)) check();
  sums.join(id, group.rank, group.size);
  return {
    begin: (_name, gradient) => ({
      isDone: () => true,
      take: sums.begin(gradient),
      times: null,
    }),
    areDone: (milliseconds) => {
      try {
        return sums.areDone(milliseconds);
      } catch (error) {
        throwIfDeviceFailed();
        waitForName(check);
        throw error;
      }
    },
    takeDeviceMs: () => sums.takeMs(),
  };
}

/** The other workers and hosts know better than NCCL who has failed. @param check throws once that is known */
function waitForName(check: () => void): void {
  const word = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  for (let waited = 0; waited < NAMING_MS; waited += POLL_MS) {
    check();
    Atomics.wait(word, 0, 0, POLL_MS);
  }
}
