/** How the tests start processes with the launcher of an MPI. */
import type { MpiName } from '../../src/parallel/process_group.js';

/** A command line, to which the program and its arguments are appended. */
export interface Launcher {
  program: string;
  words: string[];
  /** Variables of the launcher itself. */
  environment: Record<string, string>;
}

/** Debian's names, which stay apart if both are installed; elsewhere there is one `mpirun`. */
const PROGRAMS = { openmpi: 'mpirun.openmpi', mpich: 'mpirun.mpich' };

/** Starts processes on this host that talk over its loopback device. */
export function launcherOf(mpi: MpiName, processes: number): Launcher {
  const count = ['-n', String(processes)];
  if (mpi === 'mpich') return { program: PROGRAMS.mpich, words: count, environment: {} };
  const devices = ['--mca', 'btl', 'tcp,self', '--mca', 'btl_tcp_if_include', 'lo'];
  const words = [...count, '--oversubscribe', '--bind-to', 'none', ...devices];
  const asRoot = { OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };
  return { program: PROGRAMS.openmpi, words, environment: asRoot };
}
