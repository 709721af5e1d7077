/** The small network on several hosts, which stand here as processes on this one, and the same on one host. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BACKEND_NAMES, prepareProcess, whyMissing } from '../../src/backend/backend.js';
import type { BackendName } from '../../src/backend/backend.js';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import type { MpiName } from '../../src/parallel/process_group.js';
import { launcherOf } from './launchers.js';
import { reportOf } from './tower_host.js';
import type { HostReport, HostTask } from './tower_host.js';
import { withCoordinatorOn } from '../parallel/two_placements.js';

const HOST = fileURLToPath(new URL('./tower_host.js', import.meta.url));

prepareProcess();

const isPrepared = (backend: BackendName): boolean => whyMissing(backend) === null;

/** The first backend shares tensors among threads if there is one that does; the last one copies. */
export const shared = BACKEND_NAMES.find(isPrepared)!;
export const copied = BACKEND_NAMES.findLast(isPrepared)!;

export const skipOf = (mpi: MpiName): string | false => whyNoMpi(mpi) ?? false;

/** @returns the reports of the processes, in order */
export async function onHosts(
  processes: number,
  task: HostTask,
  mpi: MpiName = 'openmpi',
): Promise<HostReport[]> {
  const { program, words, environment } = launcherOf(mpi, processes);
  const command = [...words, process.execPath, HOST, JSON.stringify(task)];
  const { stdout } = await promisify(execFile)(program, command, {
    env: { ...process.env, ...environment },
  });
  return JSON.parse(stdout) as HostReport[];
}

/** The same on one host. @param workers the ranks of all hosts */
export function onOne(task: HostTask, workers: number[][]): Promise<HostReport> {
  return withCoordinatorOn(task.backend, workers, (coordinator) => reportOf(coordinator, task));
}
