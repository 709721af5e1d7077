/**
 *     npm run bench:hosts [-- --rates 1gbit,10gbit --step-ms 25 --repetitions 5]
 *
 * Training on many hosts, as far as two cores can tell: hosts are network namespaces whose links are limited (as root).
 *
 * - Sums of gradients over 2 and 4 hosts, against what a ring needs: each host sends 2 (N − 1) / N of the bytes.
 * - Steps of AlexNet with a replica on each of 1, 2 and 4 hosts. Computing is an idle wait of as long as a GPU takes, so
 *   that the hosts do not compete for cores; the gradients and their sums are real. What of the communication the
 *   computing hides, and how much longer a step is than on one host, follow.
 * - The same of the hybrid, with 128 images per host: the exchanges of its fully-connected layers are real too.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { launchEach } from '../test/hosts/launchers.js';
import { TestHosts, whyNoHosts } from '../test/hosts/test_hosts.js';
import { loadConfiguration } from '../src/configuration.js';
import { planOf } from '../src/library/plan.js';
import type { HostsFigures, HostsTask } from './bench_hosts_member.js';

const MEMBER = fileURLToPath(new URL('./bench_hosts_member.js', import.meta.url));
const MEGABYTES = [4, 15, 244];
/** Images of each host. */
const IMAGES = 128;

const { rates, stepMs, repetitions } = await yargs(hideBin(process.argv))
  .option('rates', { type: 'string', default: '1gbit,10gbit' })
  .option('step-ms', { type: 'number', default: 25 })
  .option('repetitions', { type: 'number', default: 5 })
  .strict()
  .parse();

const why = whyNoHosts();
if (why !== null) throw new Error(why);
const folder = mkdtempSync(join(tmpdir(), 'twotower-bench-'));
const hosts = TestHosts.make(4);
try {
  console.log(`load at the start: ${loadavg()[0]!.toFixed(1)}`);
  for (const rate of rates.split(',')) {
    hosts.limitLinks(rate);
    const alone = measure(1, []);
    for (const count of [2, 4]) print(rate, count, measure(count, MEGABYTES), alone);
  }
} finally {
  hosts.remove();
  rmSync(folder, { recursive: true });
}

function measure(count: number, megabytes: number[]): HostsFigures {
  const sums = megabytes.map((size) => size * 1e6);
  const task: HostsTask = { sums, stepMs, images: IMAGES, repetitions };
  const member = [process.execPath, MEMBER, JSON.stringify(task)];
  const programs = Array.from({ length: count }, () => member);
  // Processes that wait for each other share two cores.
  const patient = ['--mca', 'mpi_yield_when_idle', '1'];
  const { program, words, environment } = launchEach('openmpi', hosts, programs, folder, {
    options: patient,
  });
  const { stdout, stderr, status } = spawnSync(program, words, {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });
  if (status !== 0) throw new Error(`mpirun ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as HostsFigures;
}

function print(rate: string, count: number, figures: HostsFigures, alone: HostsFigures): void {
  const bitsPerMs = Number.parseFloat(rate) * 1e6;
  const ring = (megabytes: number): number =>
    (2 * (count - 1) * megabytes * 8e6) / (count * bitsPerMs);
  MEGABYTES.forEach((megabytes, index) => {
    const ms = figures.sumMs[index]!;
    const ratio = ms / ring(megabytes);
    console.log(
      `${rate}, ${count} hosts: ${megabytes} MB summed in ${ms.toFixed(1)} ms, ${ratio.toFixed(2)} × a ring's ${ring(megabytes).toFixed(1)} ms`,
    );
  });
  const { overlappedMs, sequentialMs, communicationMs } = figures;
  // No more can be hidden than the backward pass lasts.
  const hidden = (sequentialMs - overlappedMs) / Math.min(communicationMs, (2 / 3) * stepMs);
  const efficiency = alone.overlappedMs / overlappedMs;
  console.log(
    `${rate}, ${count} hosts: a step of AlexNet takes ${overlappedMs.toFixed(0)} ms, alone ${alone.overlappedMs.toFixed(0)}: weak scaling ${(100 * efficiency).toFixed(0)} %; ` +
      `communication alone ${communicationMs.toFixed(0)} ms; of what fits beside the backward pass ${(100 * hidden).toFixed(0)} % are hidden`,
  );
  const { hybridMs, hybridCommunicationMs } = figures;
  const hybridEfficiency = alone.hybridMs / hybridMs;
  const leastMs = (8 * hybridBytes(count)) / bitsPerMs;
  console.log(
    `${rate}, ${count} hosts: as a hybrid a step takes ${hybridMs.toFixed(0)} ms: weak scaling ${(100 * hybridEfficiency).toFixed(0)} %; ` +
      `communication alone ${hybridCommunicationMs.toFixed(0)} ms, at least ${leastMs.toFixed(0)} ms at this rate`,
  );
}

/** What a host of a hybrid receives in a step. */
function hybridBytes(count: number): number {
  const overrides = { training: { batch: count * IMAGES } };
  const { hosts: planned } = planOf(
    loadConfiguration({ preset: 'alexnet-paper', overrides }),
    count,
  );
  const { traffic } = planned!.parallelisms.find(({ parallelism }) => parallelism === 'hybrid')!;
  return traffic!.exchangedBytes + traffic!.reducedBytes;
}
