/** The shares of a network's state that one host of a replica holds, where its towers are divided among several. */
import type { Network, Parameter } from '../model/network.js';
import { shareOf } from '../model/parameters.js';
import type { SharedParameters } from './shared_parameters.js';
import type { World } from './world.js';

/**
 * The shares in place: of parameters and their momentum buffers, what the ranks of a host hold.
 *
 * @param host position among the hosts of a replica, each of which has as many ranks
 * @param hosts of a replica
 * @param isMeant the parameters
 */
export function sharesOfHost(
  { parameters, towers, hosts: dividing }: Network,
  shared: SharedParameters,
  host: number,
  hosts: number,
  isMeant: (parameter: Parameter) => boolean,
): Float32Array[] {
  const count = (towers * dividing) / hosts;
  const ranks = Array.from({ length: count }, (_, index) => host * count + index);
  return [shared.parameters, shared.velocities].flatMap((tensors) =>
    parameters.filter(isMeant).flatMap((parameter) =>
      ranks.map((rank) => {
        const { start, length } = shareOf(parameter, rank, towers);
        const whole = tensors[parameter.name]!;
        return new Float32Array(whole, start * Float32Array.BYTES_PER_ELEMENT, length);
      }),
    ),
  );
}

/**
 * Brings the shares of the first replica's other hosts to the first process, which has the run folder.
 *
 * @param shared has this host's shares; on the first process, all of them afterwards
 */
export async function bringToFirst(
  world: World,
  network: Network,
  shared: SharedParameters,
): Promise<void> {
  const { hostsPerReplica: hosts, replica, hostOfReplica } = world;
  if (replica > 0) return;
  // In a hybrid each host has the whole of what is not divided among hosts.
  const sharesOf = (host: number): Float32Array[] =>
    sharesOfHost(network, shared, host, hosts, (parameter) => parameter.hosts === network.hosts);
  if (hostOfReplica > 0) {
    for (const share of sharesOf(hostOfReplica)) await world.send(share, 0);
    return;
  }
  for (let host = 1; host < hosts; host++) {
    for (const share of sharesOf(host)) await world.receive(share, host);
  }
}
