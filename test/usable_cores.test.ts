import assert from 'node:assert/strict';
import { test } from 'node:test';
import { usableCores } from '../src/usable_cores.js';

/** Reads from `files`; others do not exist. */
const reading = (files: Record<string, string>) => (path: string) => {
  const text = files[path];
  if (text === undefined) throw new Error(`ENOENT ${path}`);
  return text;
};

const UNIFIED = '41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n';
const LEGACY = '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n';

test('without control groups all cores are usable', () => {
  assert.equal(usableCores(8, reading({})), 8);
});

test('a quota of version 2 bounds the cores', () => {
  const files = {
    '/proc/self/cgroup': '0::/\n',
    '/proc/self/mountinfo': UNIFIED,
    '/sys/fs/cgroup/cpu.max': '200000 100000\n',
  };
  assert.equal(usableCores(8, reading(files)), 2);
});

test('the strictest quota up the hierarchy counts', () => {
  const files = {
    '/proc/self/cgroup': '0::/pod/container\n',
    '/proc/self/mountinfo': UNIFIED,
    '/sys/fs/cgroup/pod/container/cpu.max': 'max 100000\n',
    '/sys/fs/cgroup/pod/cpu.max': '300000 100000\n',
    '/sys/fs/cgroup/cpu.max': '700000 100000\n',
  };
  assert.equal(usableCores(8, reading(files)), 3);
});

test('a quota of version 1 bounds the cores', () => {
  const files = {
    '/proc/self/cgroup': '3:memory:/\n2:cpu,cpuacct:/docker/1f\n0::/\n',
    '/proc/self/mountinfo': LEGACY.replace(' / ', ' /docker/1f '),
    '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '400000\n',
    '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
  };
  assert.equal(usableCores(8, reading(files)), 4);
});

test('a group of version 1 without a quota bounds nothing', () => {
  const files = {
    '/proc/self/cgroup': '2:cpu:/\n',
    '/proc/self/mountinfo': LEGACY,
    '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1\n',
    '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
  };
  assert.equal(usableCores(8, reading(files)), 8);
});

test('a part of a core is not counted, and one core always is', () => {
  for (const [quota, cores] of [
    ['50000', 1],
    ['199000', 1],
    ['250000', 2],
  ] as const) {
    const files = {
      '/proc/self/cgroup': '0::/\n',
      '/proc/self/mountinfo': UNIFIED,
      '/sys/fs/cgroup/cpu.max': `${quota} 100000\n`,
    };
    assert.equal(usableCores(8, reading(files)), cores);
  }
});

test('affinity bounds the cores where the quota is larger', () => {
  const files = {
    '/proc/self/cgroup': '0::/\n',
    '/proc/self/mountinfo': UNIFIED,
    '/sys/fs/cgroup/cpu.max': '800000 100000\n',
  };
  assert.equal(usableCores(2, reading(files)), 2);
});
