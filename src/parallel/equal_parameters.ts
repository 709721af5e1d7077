/** The check that all replicas still have the same parameters and momentum buffers, to the bit. */
import { createHash } from 'node:crypto';
import { UserError } from '../errors.js';
import type { SharedParameters } from './shared_parameters.js';
import type { World } from './world.js';

/** The replicas' parameters have drifted apart: a host computes wrongly. */
export class ReplicasDiverged extends UserError {}

/**
 * Compares a hash of all values.
 *
 * @throws ReplicasDiverged in all processes: it names the hosts that differ from most
 */
export async function requireEqualParameters(
  world: World,
  { parameters, velocities }: SharedParameters,
  step: number,
): Promise<void> {
  if (world.isAlone) return;
  const hash = createHash('sha256');
  for (const tensors of [parameters, velocities]) {
    for (const tensor of Object.values(tensors)) hash.update(new Uint8Array(tensor));
  }
  const hashes = await world.gather(hash.digest('hex'));
  const timesOf = (one: string): number => hashes.filter((other) => other === one).length;
  const [most] = hashes.toSorted((one, other) => timesOf(other) - timesOf(one));
  const others = world.hosts.filter((_, rank) => hashes[rank] !== most);
  if (others.length === 0) return;
  throw new ReplicasDiverged(
    `the parameters of ${others.join(', ')} differ from those of the other hosts after step ${step}: check that all hosts have the same processors, libraries and sound memory`,
  );
}
