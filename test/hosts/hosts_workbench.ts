/** Runs the real command line on several hosts, one process on each, on a network of a few milliseconds a step. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { loadConfiguration } from '../../src/configuration.js';
import type { MpiName } from '../../src/parallel/process_group.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { readMetrics } from '../../src/runs/metrics_log.js';
import { TINY, programOf, startProgram } from '../commands/command_line.js';
import type { RunningCommand } from '../commands/command_line.js';
import { Workbench } from '../faults/faulty_run.js';
import type { Fault } from '../faults/inject.js';
import { launchEach } from './launchers.js';
import { TestHosts, whyNoHosts } from './test_hosts.js';

const HOST_PROCESS = new URL('./host_process.js', import.meta.url).href;

/** Writes its process's number to a file, then becomes the program that follows. */
const NOTE_PID = ['sh', '-c', 'echo $$ >"$0" && exec "$@"'];

/** How much later than the launcher a process may end, milliseconds. */
const ENDING_MS = 10_000;

const SAVING = ['--checkpoint-every', '5', '--checkpoint-minutes', '0', '--log-every', '1'];

/** The tiny network with a wide layer: its gradient is large enough to be sent during the backward pass. */
export const WIDE = [
  '--set',
  `network.layers=${JSON.stringify(
    loadConfiguration({ file: TINY }).network.layers.map((layer) =>
      'units' in layer && layer.name === 'fc1' ? { ...layer, units: 2048 } : layer,
    ),
  )}`,
];

export interface HostsRun {
  /** On how many hosts (default 2). */
  hosts?: number;
  mpi?: MpiName;
  options?: string[];
  /** Where each host has its data. */
  dataOf?: (host: number) => string;
  /** Variables of each host's process. */
  environmentOn?: (host: number) => Record<string, string>;
  /** A fault on one host. */
  fault?: Omit<Fault, 'log'> & { host: number };
  resume?: boolean;
  /** Options of the launcher. */
  launcherOptions?: string[];
  /** Whether the launcher is told which interface connects the processes (default true). */
  isInterfaceKnown?: boolean;
  whenPrinted?: (line: string, run: RunningHosts) => void;
}

export interface RunningHosts extends RunningCommand {
  /** The number of the process on this host. */
  pidOf(host: number): number;
  /** Kills that process. @returns whether there was one: it may not have started yet, or have ended */
  kill(host: number): boolean;
}

export class HostsWorkbench extends Workbench {
  /** null if none can be made: the processes then run on this machine and talk over its loopback device. */
  readonly hosts: TestHosts | null;

  /** @param count of hosts */
  constructor(private readonly count: number) {
    super();
    const why = whyNoHosts();
    if (why !== null)
      console.log(`all processes run on this host, over its loopback device: ${why}`);
    this.hosts = why === null ? TestHosts.make(count) : null;
  }

  /** Removes the hosts, what runs on them, and all files. */
  remove(): void {
    this.hosts?.remove();
    rmSync(this.folder, { recursive: true });
  }

  /** What the program calls this host in a run on several. */
  hostName(host: number): string {
    return this.hosts?.name(host) ?? `(${host})`;
  }

  /** Trains on several hosts; with `resume` goes on with the run. */
  startOnHosts(name: string, settings: HostsRun = {}): RunningHosts {
    const { hosts = 2, mpi = 'openmpi', whenPrinted } = settings;
    assert.ok(hosts <= this.count);
    const programs = Array.from({ length: hosts }, (_, host) =>
      this.programOn(host, name, settings),
    );
    const { program, words, environment } = launchEach(mpi, this.hosts, programs, this.folder, {
      options: settings.launcherOptions,
      isInterfaceKnown: settings.isInterfaceKnown,
    });
    // A run that is resumed has the files of processes that have ended, whose numbers others may have now.
    programs.forEach((_, host) => rmSync(this.pidFile(name, host), { force: true }));
    const running: RunningHosts = {
      ...startProgram([program, ...words], {
        environment,
        whenPrinted: (line) => whenPrinted?.(line, running),
      }),
      pidOf: (host) => Number(readFileSync(this.pidFile(name, host), 'utf8')),
      kill: (host) => {
        if (!existsSync(this.pidFile(name, host)) || !isRunning(running.pidOf(host))) return false;
        process.kill(running.pidOf(host), 'SIGKILL');
        return true;
      },
    };
    return running;
  }

  private programOn(host: number, name: string, settings: HostsRun): string[] {
    const { resume = false, dataOf = () => this.data, environmentOn = () => ({}) } = settings;
    const { options = [], fault: { host: faulty, ...fault } = {} } = settings;
    const out = this.run(name);
    const words = resume
      ? ['train', '--resume', out]
      : ['train', '--config', TINY, '--data', dataOf(host), '--out', out];
    const injected = faulty === host ? this.environmentOf(name, fault) : {};
    const environment = {
      ...injected,
      NODE_OPTIONS: `--import=${HOST_PROCESS} ${injected['NODE_OPTIONS'] ?? ''}`.trim(),
      TWOTOWER_TEST_HASHES: this.hashFile(name, host),
      ...environmentOn(host),
    };
    const set = Object.entries(environment).map(([key, value]) => `${key}=${value}`);
    const program = programOf([...words, ...SAVING, ...options]);
    return [...NOTE_PID, this.pidFile(name, host), 'env', ...set, ...program];
  }

  /** By step, the hash of the parameters and momentum buffers that this host had at each checkpoint of the run. */
  hashes(name: string, host: number): Record<string, string> {
    const lines = readFileSync(this.hashFile(name, host), 'utf8').trim().split('\n');
    return Object.fromEntries(lines.map((line) => line.split(' ') as [string, string]));
  }

  /** The loss of each step of the run. */
  losses(name: string): number[] {
    const events = readMetrics(openRunFolder(this.run(name)));
    return events.flatMap((event) => (event.event === 'train' ? [event.loss] : []));
  }

  /** Waits for the ends of the run's processes, which a launcher does not always do. */
  async haveEnded(name: string): Promise<void> {
    const files = Array.from({ length: this.count }, (_, host) => this.pidFile(name, host));
    const pids = files.filter(existsSync).map((file) => Number(readFileSync(file, 'utf8')));
    const until = performance.now() + ENDING_MS;
    while (pids.some(isRunning)) {
      assert.ok(performance.now() < until, `process ${pids.filter(isRunning).join()} does not end`);
      await delay(20);
    }
  }

  private hashFile(name: string, host: number): string {
    return join(this.folder, `hashes of ${name} on ${host}`);
  }

  private pidFile(name: string, host: number): string {
    return join(this.folder, `process of ${name} on ${host}`);
  }
}

function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}
