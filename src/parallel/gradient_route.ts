/**
 * The way on which the gradients of GPU workers are summed over hosts. All hosts must go the same way, so they agree on it once
 * their workers are open.
 */
import type { GpuMember } from '../backend/capabilities.js';
import type { GradientRoute, OpenReply } from './messages.js';
import type { TowerThreads } from './tower_threads.js';
import type { World } from './world.js';

/** What a host offers. */
interface Offer {
  /** How many of its workers compute on GPUs with the native backend. */
  onGpus: number;
  /** Whether all do, and its MPI reads the GPUs' memory. */
  isReadable: boolean;
  /** The GPUs of all workers, if NCCL may use them. */
  members: GpuMember[] | null;
}

/**
 * Agrees on the way and tells the workers. A collective of all processes.
 *
 * @param workers this host's
 * @returns null if nothing is summed over hosts or no worker computes on a GPU with the native backend
 */
export async function chooseRoute(
  world: World,
  threads: TowerThreads,
  workers: readonly OpenReply[],
): Promise<GradientRoute | null> {
  if (world.imageShare.of === 1) return null;
  const members = workers.flatMap(({ member }) => member ?? []);
  const areAllOnGpus = members.length === workers.length;
  const offers = await world.gather<Offer>({
    onGpus: members.length,
    isReadable: areAllOnGpus && world.mpiReadsGpuMemory,
    members: areAllOnGpus && process.env['TWOTOWER_NCCL'] !== 'never' ? members : null,
  });
  const route = routeOf(offers);
  if (route !== null) await threads.all('route', () => ({ kind: 'route', route }));
  return route;
}

function routeOf(offers: readonly Offer[]): GradientRoute | null {
  if (offers.every(({ onGpus }) => onGpus === 0)) return null;
  if (haveOwnGpus(offers.map(({ members }) => members))) return 'NCCL';
  return offers.every(({ isReadable }) => isReadable) ? 'MPI, GPU memory' : 'MPI, host memory';
}

/** Whether NCCL has one version everywhere, and every worker a GPU that no other one has. */
function haveOwnGpus(hosts: readonly (GpuMember[] | null)[]): boolean {
  if (hosts.includes(null)) return false;
  const members = hosts.flatMap((members) => members ?? []);
  const { nccl } = members[0]!;
  const gpus = new Set(members.map(({ uuid }) => uuid));
  return (
    nccl !== null && gpus.size === members.length && members.every((member) => member.nccl === nccl)
  );
}
