/**
 * The way on which the gradients of GPU workers are summed over hosts. All hosts must go the same way, so they agree on it once
 * their workers are open.
 */
import type { GradientRoute, OpenReply } from './messages.js';
import type { TowerThreads } from './tower_threads.js';
import type { World } from './world.js';

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
  const route = await agreeOnRoute(world, workers);
  if (route !== null) await threads.all('route', () => ({ kind: 'route', route }));
  return route;
}

async function agreeOnRoute(
  world: World,
  workers: readonly OpenReply[],
): Promise<GradientRoute | null> {
  const onGpus = workers.filter(({ gpu }) => gpu !== undefined).length;
  const isReadable = onGpus === workers.length && world.mpiReadsGpuMemory;
  const hosts = await world.gather({ onGpus, isReadable });
  if (hosts.every((host) => host.onGpus === 0)) return null;
  return hosts.every((host) => host.isReadable) ? 'MPI, GPU memory' : 'MPI, host memory';
}
