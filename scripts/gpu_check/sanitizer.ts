/** NVIDIA's checker of memory accesses, over a few steps of two towers. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Skipped } from './figures.js';
import type { Report } from './figures.js';
import type { Settings } from './settings.js';

const PROGRAMS = ['compute-sanitizer', '/usr/local/cuda/bin/compute-sanitizer'];
const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

/** The demo's network, because each access takes the checker hundreds of times as long. */
const COMMAND = ['compare', '--preset', 'demo', '--batch', '16', '--steps', '2', '--gpus', '0,0'];

/** Milliseconds after which it is ended: it must not take the time of the other parts. */
const LONGEST = 90_000;

/** @throws Skipped where it is not installed */
export function checkSanitizer(_: Settings, report: Report): Promise<void> {
  const program = PROGRAMS.find((one) => spawnSync(one, ['--version']).status === 0);
  if (program === undefined) throw new Skipped('compute-sanitizer is not installed');
  const { status, stdout, stderr, error } = spawnSync(
    program,
    ['--tool', 'memcheck', '--target-processes', 'all', process.execPath, CLI, ...COMMAND],
    { encoding: 'utf8', maxBuffer: 2 ** 28, timeout: LONGEST, killSignal: 'SIGKILL' },
  );
  if (error !== undefined) throw error;
  const summaries = [...`${stdout}${stderr}`.matchAll(/ERROR SUMMARY: (\d+) error/g)];
  if (status !== 0 || summaries.length === 0) {
    throw new Error(`${program} ended with ${status}: ${(stderr || stdout).trim().slice(-300)}`);
  }
  const value = summaries.reduce((sum, [, errors]) => sum + Number(errors), 0);
  report({ name: 'errors', value, bound: { atMost: 0 } });
  return Promise.resolve();
}
