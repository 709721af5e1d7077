/** The model's state in the memory that all threads share: what a checkpoint saves and restores. */
import { UserError } from '../errors.js';
import type { Network, Parameter } from '../model/network.js';
import { elements } from '../model/network.js';

/** Whole tensors in canonical layout by parameter name, float32. */
export interface SharedParameters {
  parameters: Record<string, SharedArrayBuffer>;
  /** Momentum buffers. */
  velocities: Record<string, SharedArrayBuffer>;
}

/** Zeroed tensors, one per parameter of the network. */
export function allocateTensors({ parameters }: Network): Record<string, SharedArrayBuffer> {
  return Object.fromEntries(
    parameters.map(({ name, shape }) => [
      name,
      new SharedArrayBuffer(elements(shape) * Float32Array.BYTES_PER_ELEMENT),
    ]),
  );
}

/** What the parameter's momentum buffer is called in messages. */
export function momentumName({ name }: Parameter): string {
  return `the momentum of ${name}`;
}

/** The model has diverged: a parameter or a momentum buffer is not finite, so it must not be saved. */
export class NotFiniteParameters extends UserError {
  constructor(
    /** Name of the parameter, or that of its momentum buffer. */
    readonly tensor: string,
    /** The step begun last; null if none was. */
    readonly step: number | null,
  ) {
    const when = step === null ? '' : ` after step ${step}`;
    super(`${tensor} is not finite${when}: lower --lr and check the data`);
  }
}

/**
 * The first tensor, in the order of the network's parameters, that some worker has found not to be finite.
 *
 * @param found the tensors' names, from each worker
 */
export function firstNotFinite({ parameters }: Network, found: string[][]): string | undefined {
  const names = new Set(found.flat());
  return parameters
    .flatMap((parameter) => [parameter.name, momentumName(parameter)])
    .find((name) => names.has(name));
}
