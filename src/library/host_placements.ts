/** On which hosts and devices a run's ranks are. */
import type { Coordinator } from '../parallel/coordinator.js';
import type { Placement } from '../parallel/placement.js';
import type { HostPlacement } from '../runs/events.js';
import type { Summary } from '../runs/summary.js';

/** The processes that train together, and their workers; none if it is one. A collective. */
export async function hostsOf({ placement, world }: Coordinator): Promise<HostPlacement[]> {
  const placements = await world.gather(placement);
  return world.hosts.map((name, process) => ({ name, placement: placements[process]! }));
}

/** Where each rank computes, of this process alone or of all. */
export function placementSummary(
  own: Placement,
  hosts: HostPlacement[],
): Pick<Summary, 'placement' | 'hosts'> {
  const rows = (placement: Placement, host?: string): Summary['placement'] =>
    placement.flatMap(({ ranks, device, requested, gpu }) =>
      ranks.map((rank) => ({
        rank,
        device,
        requested,
        ...(host !== undefined && { host }),
        ...(gpu !== undefined && { gpu }),
      })),
    );
  if (hosts.length === 0) return { placement: rows(own) };
  return {
    placement: hosts.flatMap(({ name, placement }) => rows(placement, name)),
    hosts: hosts.map(({ name }) => name),
  };
}
