/**
 * A process of the tests of networks on many hosts: trains the small network together with the others, and prints what
 * came of it as JSON.
 */
import { createHash } from 'node:crypto';
import { prepareProcess } from '../../src/backend/backend.js';
import type { BackendName } from '../../src/backend/backend.js';
import { placesOfShare } from '../../src/data/share.js';
import { Coordinator } from '../../src/parallel/coordinator.js';
import { requireEqualParameters } from '../../src/parallel/equal_parameters.js';
import { joinWorld } from '../../src/parallel/join_world.js';
import type { World } from '../../src/parallel/world.js';
import type { SharedBatch } from '../../src/parallel/shared_batch.js';
import type { SharedParameters } from '../../src/parallel/shared_parameters.js';
import { requireFinite } from '../../src/parallel/step_outcome.js';
import {
  BATCH,
  RULE,
  SEED,
  cpuPlacement,
  noiseBatchOf,
  smallConfiguration,
} from './two_placements.js';

/** What the processes do, the same in each of them. */
export interface HostTask {
  backend: BackendName;
  towers: number;
  /** The ranks of one host's workers. */
  workers: number[][];
  hostsPerReplica: number;
  steps: number;
  /** The second process leaves the last step out until it is ended. */
  isSecondLate?: boolean;
}

/** How long a process waits for one that is late, milliseconds. */
export const LIMIT_MS = 3000;

/** What a process has seen. */
export interface HostReport {
  process: number;
  losses: number[];
  accuracies: number[];
  /** Of what `store` has returned. */
  parameters: string;
  /** Of the logits of the first batch, after training. */
  logits: string;
  exchangeBytes: number;
}

export function hashOfParameters({ parameters, velocities }: SharedParameters): string {
  const hash = createHash('sha256');
  for (const tensors of [parameters, velocities]) {
    for (const name of Object.keys(tensors).sort()) hash.update(new Uint8Array(tensors[name]!));
  }
  return hash.digest('hex');
}

export function hashOfLogits(logits: Float32Array): string {
  return createHash('sha256').update(logits).digest('hex');
}

/** A replica's share of a batch. */
function shareOf(batch: SharedBatch, index: number, of: number): SharedBatch {
  const { first, end } = placesOfShare(batch.count, { index, of });
  const bytes = batch.pixels.byteLength / batch.count;
  return {
    pixels: batch.pixels.slice(first * bytes, end * bytes),
    labels: batch.labels.slice(4 * first, 4 * end),
    count: end - first,
    first,
    of: batch.count,
  };
}

async function trainAlong(world: World, task: HostTask): Promise<HostReport> {
  const isLate = (step: number): boolean =>
    task.isSecondLate === true && world.process === 1 && step === task.steps;
  world.divideReplicas(task.hostsPerReplica);
  const { replica, replicas } = world;
  prepareProcess();
  const coordinator = await Coordinator.open({
    configuration: smallConfiguration(SEED, task.towers),
    towers: task.towers,
    placement: cpuPlacement(task.workers),
    backend: task.backend,
    batch: Math.ceil(BATCH / replicas),
    world,
    ...(task.isSecondLate === true && { exchangeTimeoutMs: LIMIT_MS }),
  });
  const results = [];
  for (let step = 1; step <= task.steps; step++) {
    if (isLate(step)) await untilLost(world);
    const batch = shareOf(noiseBatchOf(SEED, step), replica, replicas);
    results.push(requireFinite(await coordinator.step(step, batch, RULE)));
  }
  const logits = await coordinator.logitsOf(shareOf(noiseBatchOf(SEED, 1), replica, replicas));
  const stored = await coordinator.store();
  await requireEqualParameters(world, coordinator.network, stored, task.steps);
  const report = {
    process: world.process,
    losses: results.map(({ loss }) => loss),
    accuracies: results.map(({ accuracy }) => accuracy),
    parameters: hashOfParameters(stored),
    logits: hashOfLogits(logits),
    exchangeBytes: results[0]!.timings.reduce((sum, timing) => sum + timing.exchangeBytes, 0),
  };
  await coordinator.close();
  return report;
}

function untilLost({ lost }: World): Promise<never> {
  return new Promise((_, reject) => {
    const awake = setInterval(() => {}, LIMIT_MS);
    lost.addEventListener('abort', () => {
      clearInterval(awake);
      reject(lost.reason as Error);
    });
  });
}

const [task] = process.argv.slice(2);
if (task !== undefined) {
  const world = await joinWorld('test', {});
  const print = (line: string): boolean => process.stderr.write(`${line}\n`);
  try {
    const report = await trainAlong(world, JSON.parse(task) as HostTask);
    process.stdout.write(`${JSON.stringify(report)}\n`);
    await world.end(undefined, print);
  } catch (error) {
    await world.end(error, print);
  }
}
