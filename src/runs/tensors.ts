/**
 * Canonical parameters between the towers' shared memory and files: the same bytes, not copied.
 * Called by the trainer, `evaluate` and `export`.
 */
import type { Network } from '../model/network.js';
import type { Coordinator } from '../parallel/coordinator.js';
import { checkAgainst } from './checkpoint.js';
import { describeSafetensors, readSafetensors } from './safetensors.js';
import type { TensorMap } from './safetensors.js';

/** The network's tensors in shared memory as what a safetensors file holds. */
export function tensorsIn(network: Network, shared: Record<string, SharedArrayBuffer>): TensorMap {
  return new Map(
    network.parameters.map(({ name, shape }) => [
      name,
      { shape, data: new Float32Array(shared[name]!) },
    ]),
  );
}

/** The other way: `readSafetensors` puts each tensor in shared memory of its own. */
export function sharedFrom(tensors: TensorMap): Record<string, SharedArrayBuffer> {
  return Object.fromEntries(
    [...tensors].map(([name, { data }]) => [name, data.buffer as SharedArrayBuffer]),
  );
}

/**
 * Gives the towers the parameters of `file`, and the velocities of `optimizerFile` or zero.
 *
 * @throws UserError naming the file that is not this network's
 */
export async function loadParameters(
  coordinator: Coordinator,
  file: string,
  optimizerFile?: string,
): Promise<void> {
  const read = (path: string): Record<string, SharedArrayBuffer> => {
    // Names and shapes first: of another network's file no data is read.
    checkAgainst(coordinator.network, describeSafetensors(path), path);
    return sharedFrom(readSafetensors(path));
  };
  await coordinator.load({
    parameters: read(file),
    ...(optimizerFile !== undefined && { velocities: read(optimizerFile) }),
  });
}
