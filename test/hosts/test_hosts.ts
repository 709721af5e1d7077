/**
 * Hosts for tests: network namespaces of this machine. Each has a host name, an address and a link to a switch, which
 * is a bridge in a namespace of its own. Nothing outside these namespaces changes.
 *
 *     const hosts = TestHosts.make(4);
 *     after(() => hosts.remove());
 *
 * Making them takes root and Debian's iproute2. Namespaces bear the number of the process that made them, so that those
 * of a process that was killed are found and removed by the next one.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const PREFIX = 'twotower-test';

/** The first three numbers of the hosts' addresses. */
const NETWORK = '10.77.0';

/** The interface that connects a host with the others, and one that leads nowhere. */
export const CONNECTED = 'eth0';
export const ISOLATED = 'eth1';

/** Why no hosts can be made here; null if they can. */
export function whyNoHosts(): string | null {
  if (process.getuid?.() !== 0) return 'network namespaces take root';
  try {
    const name = namespaceOf('probe');
    ip('netns', 'add', name);
    ip('netns', 'delete', name);
    return null;
  } catch (error) {
    return `network namespaces cannot be made here: ${String((error as Error).message)}`;
  }
}

export class TestHosts {
  /** @param count of hosts, which are numbered from 0 */
  private constructor(readonly count: number) {}

  static make(count: number): TestHosts {
    removeThoseOfEndedProcesses();
    const hosts = new TestHosts(count);
    process.once('exit', () => hosts.remove());
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => process.exit(1));
    const hub = namespaceOf('switch');
    ip('netns', 'add', hub);
    ip('-n', hub, 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', hub, 'link', 'set', 'bridge', 'up');
    for (let host = 0; host < count; host++) {
      const name = hosts.namespace(host);
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
      const [port, dead] = [`port${host}`, `dead${host}`];
      ip('-n', hub, 'link', 'add', port, 'type', 'veth', 'peer', CONNECTED, 'netns', name);
      ip('-n', hub, 'link', 'set', port, 'master', 'bridge', 'up');
      ip('-n', hub, 'link', 'add', dead, 'type', 'veth', 'peer', ISOLATED, 'netns', name);
      ip('-n', hub, 'link', 'set', dead, 'up');
      ip('-n', name, 'address', 'add', `${hosts.address(host)}/24`, 'dev', CONNECTED);
      ip('-n', name, 'address', 'add', `10.78.0.${host + 1}/24`, 'dev', ISOLATED);
      for (const link of [CONNECTED, ISOLATED]) ip('-n', name, 'link', 'set', link, 'up');
    }
    return hosts;
  }

  /** The host's name, which the program's messages contain. */
  name(host: number): string {
    return `host${host}`;
  }

  address(host: number): string {
    return `${NETWORK}.${host + 1}`;
  }

  namespace(host: number): string {
    return namespaceOf(this.name(host));
  }

  /** What makes a command line run on this host. */
  on(host: number): string[] {
    const named = ['unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', this.name(host)];
    return ['ip', 'netns', 'exec', this.namespace(host), ...named];
  }

  /** Cuts the host off from the others, which see nothing of it, or connects it again. */
  setLink(host: number, state: 'up' | 'down'): void {
    ip('-n', namespaceOf('switch'), 'link', 'set', `port${host}`, state);
  }

  /**
   * Limits what each host sends.
   *
   * @param rate such as `1gbit`
   */
  limitLinks(rate: string): void {
    for (let host = 0; host < this.count; host++) {
      const limit = ['tbf', 'rate', rate, 'burst', '128kb', 'latency', '1ms'];
      const device = ['qdisc', 'replace', 'dev', CONNECTED, 'root'];
      execFileSync('tc', ['-n', this.namespace(host), ...device, ...limit], { stdio: 'pipe' });
    }
  }

  /** Ends what still runs on the hosts, and removes them. */
  remove(): void {
    removeNamespaces(namespaces().filter((name) => name.startsWith(namespaceOf(''))));
  }
}

function namespaceOf(part: string): string {
  return `${PREFIX}-${process.pid}-${part}`;
}

function ip(...words: string[]): string {
  return execFileSync('ip', words, { encoding: 'utf8', stdio: 'pipe' });
}

function namespaces(): string[] {
  const lines = ip('netns', 'list').split('\n');
  return lines.map((line) => line.split(' ')[0]!).filter((name) => name.startsWith(PREFIX));
}

function removeThoseOfEndedProcesses(): void {
  const isOfEnded = (name: string): boolean => {
    const [, pid] = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name) ?? [];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  };
  for (const name of namespaces().filter(isOfEnded)) {
    try {
      removeNamespaces([name]);
    } catch (error) {
      // Another test file may have removed it meanwhile.
      if (namespaces().includes(name)) throw error;
    }
  }
}

function removeNamespaces(names: string[]): void {
  for (const name of names) {
    for (const pid of ip('netns', 'pids', name).split('\n').filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    ip('netns', 'delete', name);
  }
}
