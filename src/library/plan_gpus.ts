/** How much of a network the GPUs of this host hold: `planGpus` of the package, and what `plan` prints of them. */
import { listGpus } from '../backend/backend.js';
import { imagesThatFit } from '../model/memory.js';
import type { Plan } from './plan.js';

/** A GPU of this host. */
export interface PlannedGpu {
  ordinal: number;
  name: string;
  bytes: number;
  /** About how many images a step may have on a worker with one rank; 0 if the parameters alone are too large. */
  images: number;
}

/** The GPUs that say how much memory they have. */
export async function planGpus({
  memoryPerRank,
}: Pick<Plan, 'memoryPerRank'>): Promise<PlannedGpu[]> {
  const { gpus } = await listGpus();
  return gpus.flatMap(({ ordinal, name, bytes }) =>
    bytes === undefined
      ? []
      : [{ ordinal, name, bytes, images: imagesThatFit(memoryPerRank, bytes) }],
  );
}
