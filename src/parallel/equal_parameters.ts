/** The check that all replicas still have the same parameters and momentum buffers, to the bit. */
import { createHash } from 'node:crypto';
import { UserError } from '../errors.js';
import type { Network, Parameter } from '../model/network.js';
import { sharesOfHost } from './host_shares.js';
import type { SharedParameters } from './shared_parameters.js';
import type { World } from './world.js';

/** The replicas' parameters have drifted apart: a host computes wrongly. */
export class ReplicasDiverged extends UserError {}

/**
 * Compares a hash of what a host holds with those of the other hosts that hold the same.
 *
 * @throws ReplicasDiverged in all processes: it names the hosts that differ from most
 */
export async function requireEqualParameters(
  world: World,
  network: Network,
  shared: SharedParameters,
  step: number,
): Promise<void> {
  const { imageShare, hostsPerReplica, hostOfReplica } = world;
  if (imageShare.of === 1) return;
  const isCommon = ({ hosts }: Parameter): boolean => hosts === 1;
  const hash = createHash('sha256');
  const shares = sharesOfHost(network, shared, hostOfReplica, hostsPerReplica, isCommon);
  for (const share of shares) hash.update(share);
  const hashes = await world.gather(hash.digest('hex'));
  // All hosts of a hybrid hold the same of these; of a replica that is divided by towers, each holds something else.
  const period = network.hosts > 1 ? 1 : hostsPerReplica;
  const others = world.hosts.filter((_, process) => {
    const same = hashes.filter((_hash, other) => (other - process) % period === 0);
    return hashes[process] !== mostFrequent(same);
  });
  if (others.length === 0) return;
  throw new ReplicasDiverged(
    `the parameters of ${others.join(', ')} differ from those of the other hosts after step ${step}: check that all hosts have the same processors, libraries and sound memory`,
  );
}

function mostFrequent(hashes: string[]): string {
  const timesOf = (one: string): number => hashes.filter((other) => other === one).length;
  return hashes.toSorted((one, other) => timesOf(other) - timesOf(one))[0]!;
}
