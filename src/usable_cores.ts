/**
 * How many CPU cores this process may keep busy: the least of its CPU affinity and the CPU quotas of the control
 * groups that it is in (`docker --cpus`, a Kubernetes limit). More threads than that take turns on the cores and
 * wait for each other.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

/** The whole cores of the process, at least 1. */
export function usableCores(
  cores = availableParallelism(),
  readFile: (path: string) => string = (path) => readFileSync(path, 'utf8'),
): number {
  return Math.max(1, Math.min(cores, Math.floor(cpuQuota(readFile))));
}

/** Cores that the strictest control group grants; infinite without a quota. */
function cpuQuota(readFile: (path: string) => string): number {
  // Not Linux, or /proc is hidden: there is nothing to read.
  const text = (path: string): string => {
    try {
      return readFile(path);
    } catch {
      return '';
    }
  };
  const mounts = mountsOf(text('/proc/self/mountinfo'));
  const quotas = linesOf(text('/proc/self/cgroup')).map((line) => {
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const isUnified = controllers === '';
    if (!isUnified && !controllers.split(',').includes('cpu')) return Infinity;
    const mount = mounts.find((one) => one.isUnified === isUnified);
    if (mount === undefined) return Infinity;
    // A container sees its own group as the root of the mount.
    const below = path.startsWith(mount.root) ? path.slice(mount.root.length) : '';
    const quotaOf = isUnified ? unifiedQuota : legacyQuota;
    const folders = foldersUpTo(mount.folder, join(mount.folder, below));
    return Math.min(...folders.map((folder) => quotaOf(folder, text)));
  });
  return Math.min(Infinity, ...quotas);
}

/** A mounted hierarchy of control groups that has the CPU controller, or may have it. */
interface Mount {
  /** Whether it is of version 2. */
  isUnified: boolean;
  /** The group that is mounted at `folder`, with a slash at its end only if it is the root of all. */
  root: string;
  folder: string;
}

/** Fields of a line: id, parent, device, root, mount point, options …, `-`, type, source, super options. */
function mountsOf(mountinfo: string): Mount[] {
  return linesOf(mountinfo).flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '/', folder = '/'] = before.split(' ');
    const [type, , options = ''] = after.split(' ');
    const isUnified = type === 'cgroup2';
    const isLegacy = type === 'cgroup' && options.split(',').includes('cpu');
    return isUnified || isLegacy ? [{ isUnified, root: root === '/' ? '' : root, folder }] : [];
  });
}

/** The folder and those above it, up to `top`: a group cannot use more than the groups around it. */
function foldersUpTo(top: string, folder: string): string[] {
  if (folder === top || !folder.startsWith(top)) return [top];
  return [folder, ...foldersUpTo(top, dirname(folder))];
}

/** `cpu.max`: microseconds of CPU time, or `max`, per period of so many microseconds. */
function unifiedQuota(folder: string, text: (path: string) => string): number {
  const [quota, period] = text(join(folder, 'cpu.max')).trim().split(' ').map(Number);
  return ratio(quota, period);
}

function legacyQuota(folder: string, text: (path: string) => string): number {
  const quota = Number(text(join(folder, 'cpu.cfs_quota_us')));
  const period = Number(text(join(folder, 'cpu.cfs_period_us')));
  return ratio(quota, period);
}

/** Infinite unless both are positive: no limit is written as `max` or −1. */
function ratio(quota: number | undefined, period: number | undefined): number {
  return quota! > 0 && period! > 0 ? quota! / period! : Infinity;
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
