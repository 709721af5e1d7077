/** How the tests start processes with the launcher of an MPI: on test hosts, or all on this machine. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MpiName } from '../../src/parallel/process_group.js';
import { CONNECTED } from './test_hosts.js';
import type { TestHosts } from './test_hosts.js';

/** A command line, to which the program and its arguments are appended. */
export interface Launcher {
  program: string;
  words: string[];
  /** Variables of the launcher itself. */
  environment: Record<string, string>;
}

/** Debian's names, which stay apart if both are installed; elsewhere there is one `mpirun`. */
const PROGRAMS = { openmpi: 'mpirun.openmpi', mpich: 'mpirun.mpich' };

const AS_ROOT = { OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };

/** Starts processes on this host that talk over its loopback device. */
export function launcherOf(mpi: MpiName, processes: number): Launcher {
  const { program, words, environment } = onLoopback(mpi);
  return { program, words: [...words, '-n', String(processes)], environment };
}

/**
 * Starts one process per program, in the order of their ranks.
 *
 * @param hosts where to, from the first host, one program on each; null for this host and its loopback device
 * @param programs each with its arguments
 * @param folder for a file that the launcher needs
 * @param options more of the launcher's
 * @param isInterfaceKnown whether it is told which interface connects the processes; its own daemons always are
 */
export function launchEach(
  mpi: MpiName,
  hosts: TestHosts | null,
  programs: string[][],
  folder: string,
  {
    options = [],
    isInterfaceKnown = true,
  }: { options?: string[] | undefined; isInterfaceKnown?: boolean | undefined } = {},
): Launcher {
  const addresses = hosts === null ? [] : programs.map((_, host) => hosts.address(host));
  const { program, words, environment } =
    hosts === null
      ? onLoopback(mpi)
      : betweenHosts(mpi, hosts, addresses, folder, isInterfaceKnown);
  const each = programs.flatMap((one, rank) => [
    ...(rank === 0 ? [] : [':']),
    ...(mpi === 'openmpi' && hosts !== null ? ['--host', addresses[rank]!] : []),
    ...['-n', '1', ...one],
  ]);
  const [first, ...others] = [...(hosts?.on(0) ?? []), program, ...words, ...options, ...each];
  return { program: first!, words: others, environment };
}

function onLoopback(mpi: MpiName): Launcher {
  if (mpi === 'mpich') return { program: PROGRAMS.mpich, words: [], environment: {} };
  const words = ['--oversubscribe', '--bind-to', 'none', ...openMpiOver('lo')];
  return { program: PROGRAMS.openmpi, words, environment: AS_ROOT };
}

function betweenHosts(
  mpi: MpiName,
  hosts: TestHosts,
  addresses: string[],
  folder: string,
  isInterfaceKnown: boolean,
): Launcher {
  const agent = writeAgent(hosts, folder);
  if (mpi === 'mpich') {
    const agentOptions = ['-launcher', 'ssh', '-launcher-exec', agent, '-iface', CONNECTED];
    const words = [...agentOptions, '-hosts', addresses.join(','), '-ppn', '1'];
    return { program: PROGRAMS.mpich, words, environment: {} };
  }
  const agentOptions = ['--mca', 'plm_rsh_agent', agent, '--mca', 'plm_rsh_no_tree_spawn', '1'];
  const over = openMpiOver(CONNECTED, isInterfaceKnown);
  const words = ['--bind-to', 'none', ...agentOptions, ...over];
  return { program: PROGRAMS.openmpi, words, environment: AS_ROOT };
}

/** Between the daemons of the launcher, and between the processes that MPI connects. */
function openMpiOver(device: string, isInterfaceKnown = true): string[] {
  return [
    ...['--mca', 'pml', 'ob1', '--mca', 'btl', 'tcp,self', '--mca', 'oob_tcp_if_include', device],
    ...(isInterfaceKnown ? ['--mca', 'btl_tcp_if_include', device] : []),
  ];
}

/** Writes what stands in for ssh: `agent [OPTIONS] ADDRESS COMMAND…`. */
function writeAgent(hosts: TestHosts, folder: string): string {
  const agent = join(folder, 'agent');
  const cases = Array.from({ length: hosts.count }, (_, host) => {
    const shell = `hostname ${hosts.name(host)} && `;
    const words = ['ip', 'netns', 'exec', hosts.namespace(host), 'unshare', '--uts', 'sh', '-c'];
    return `  ${hosts.address(host)}) exec ${words.join(' ')} "${shell}$*" ;;`;
  });
  const lines = [
    '#!/bin/sh',
    'while [ "${1#-}" != "$1" ]; do shift; done',
    'address=$1',
    'shift',
    'case "$address" in',
    ...cases,
    'esac',
    'echo "no test host has the address $address" >&2',
    'exit 1',
  ];
  writeFileSync(agent, `${lines.join('\n')}\n`);
  chmodSync(agent, 0o755);
  return agent;
}
