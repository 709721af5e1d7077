/** Canonical parameters between files, networks and the towers' shared memory: the same bytes, not copied. */
import { UserError } from '../errors.js';
import type { Network } from '../model/network.js';
import type { Coordinator } from '../parallel/coordinator.js';
import { allocateTensors } from '../parallel/shared_parameters.js';
import { describeSafetensors, readSafetensors, refuseNotFinite } from './safetensors.js';
import type { TensorMap } from './safetensors.js';

/** The network's tensors in shared memory, as a safetensors file holds them. */
export function tensorsIn(network: Network, shared: Record<string, SharedArrayBuffer>): TensorMap {
  return new Map(
    network.parameters.map(({ name, shape }) => [
      name,
      { shape, data: new Float32Array(shared[name]!) },
    ]),
  );
}

/** The shared memory of tensors that `readSafetensors` returned: it puts each into memory of its own. */
export function sharedFrom(tensors: TensorMap): Record<string, SharedArrayBuffer> {
  return Object.fromEntries(
    [...tensors].map(([name, { data }]) => [name, data.buffer as SharedArrayBuffer]),
  );
}

/**
 * Gives the towers the parameters of `file`, and the momentum buffers of `optimizerFile` or zero. Only the first host
 * needs the files; the others get their contents from it.
 *
 * @param except layers that keep the parameters that the towers have, whatever the file has of them
 * @throws UserError naming the file that is not this network's, or the tensor that is not finite
 */
export async function loadParameters(
  coordinator: Coordinator,
  file: string,
  optimizerFile?: string,
  except: readonly string[] = [],
): Promise<void> {
  const { network, world } = coordinator;
  const excepted = network.parameters.filter(({ layer }) => except.includes(layer));
  const kept = excepted.length === 0 ? {} : (await coordinator.store()).parameters;
  const read = (path: string): Record<string, SharedArrayBuffer> => {
    // Names and shapes first: of another network's file no data is read.
    checkAgainst(network, describeSafetensors(path), path, except);
    const tensors = readSafetensors(path);
    for (const { name, shape } of excepted) {
      tensors.set(name, { shape, data: new Float32Array(kept[name]!) });
    }
    refuseNotFinite(tensors, path);
    return sharedFrom(tensors);
  };
  let parameters: Record<string, SharedArrayBuffer> | undefined;
  let velocities: Record<string, SharedArrayBuffer> | undefined;
  await world.fromFirst(() => {
    parameters = read(file);
    if (optimizerFile !== undefined) velocities = read(optimizerFile);
  });
  parameters ??= allocateTensors(network);
  velocities ??= allocateTensors(network);
  for (const { name } of network.parameters) {
    for (const tensors of [parameters, velocities]) {
      await world.broadcast(new Uint8Array(tensors[name]!));
    }
  }
  await coordinator.load({ parameters, velocities });
}

/**
 * Checks that `tensors`, read from `path`, are exactly the network's parameters.
 *
 * @param except layers whose tensors may be missing or of another shape
 * @throws UserError naming the first that is missing, extra or of another shape
 */
export function checkAgainst(
  network: Network,
  tensors: Map<string, { shape: number[] }>,
  path: string,
  except: readonly string[] = [],
): void {
  const [first] = differencesFrom(network, tensors).filter(
    ({ name }) => !except.includes(name.split('.')[0]!),
  );
  if (first === undefined) return;
  const { name, stored, wanted } = first;
  const difference =
    stored === undefined
      ? `it has no ${name}`
      : wanted === undefined
        ? `the network has no ${name}`
        : `its ${name} is [${stored.shape.join(', ')}], the network's [${wanted.join(', ')}] (--init-except ${name.split('.')[0]} leaves it out)`;
  throw new UserError(`${path} is a checkpoint of another network: ${difference}`);
}

/** A tensor that the network and a file do not both have in the same shape. */
export interface TensorDifference<Stored extends { shape: number[] }> {
  name: string;
  /** The file's; undefined if it has none. */
  stored: Stored | undefined;
  /** The network's shape; undefined if it has no such parameter. */
  wanted: number[] | undefined;
}

/** The network's parameters that `tensors` lacks or has in another shape, in order, then the surplus ones. */
export function differencesFrom<Stored extends { shape: number[] }>(
  network: Network,
  tensors: Map<string, Stored>,
): TensorDifference<Stored>[] {
  const differences: TensorDifference<Stored>[] = [];
  const surplus = new Map(tensors);
  for (const { name, shape: wanted } of network.parameters) {
    const stored = tensors.get(name);
    surplus.delete(name);
    if (stored?.shape.join() !== wanted.join()) differences.push({ name, stored, wanted });
  }
  for (const [name, stored] of surplus) differences.push({ name, stored, wanted: undefined });
  return differences;
}
