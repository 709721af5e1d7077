/**
 * A process of the tests of networks on many hosts: trains the small network together with the others. The first one
 * prints what all have seen as JSON, because a launcher mixes the lines of several.
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
import { compareWithFiniteDifferences } from '../../src/training/gradient_check.js';
import type { GradientCheck } from '../../src/training/gradient_check.js';
import { requireFinite } from '../../src/parallel/step_outcome.js';
import {
  BATCH,
  RULE,
  SEED,
  cpuPlacement,
  noiseBatchOf,
  smallConfiguration,
} from '../parallel/two_placements.js';

/** What the processes do, the same in each of them. */
export interface HostTask {
  backend: BackendName;
  towers: number;
  /** The ranks of one host's workers. */
  workers: number[][];
  hostsPerReplica: number;
  /** Each of them has its own images. */
  isHybrid?: boolean;
  steps: number;
  /** Of each batch, if not all. */
  images?: number;
  /** Compares the gradients of the first parameters with finite differences. */
  checksGradients?: boolean;
  /** The second process leaves the last step out until it is ended. */
  isSecondLate?: boolean;
}

/** How long a process waits for one that is late, milliseconds. */
export const LIMIT_MS = 3000;

/** What a process has seen. */
export interface HostReport {
  losses: number[];
  accuracies: number[];
  /** A hash of what `store` has returned. */
  parameters: string;
  /** After training, of this host's share of a batch. */
  logits: number[];
  /** The same of a batch of one image. */
  logitsOfOne: number[];
  /** Bytes that this host's workers have read in a step. */
  exchangeBytes: number;
  checks: GradientCheck[];
}

function hashOfParameters({ parameters, velocities }: SharedParameters): string {
  const hash = createHash('sha256');
  for (const tensors of [parameters, velocities]) {
    for (const name of Object.keys(tensors).sort()) hash.update(new Uint8Array(tensors[name]!));
  }
  return hash.digest('hex');
}

/** This process's share of a batch. */
function shareOf({ imageShare }: World, index: number, images = BATCH): SharedBatch {
  const batch = noiseBatchOf(SEED, index);
  const { first, end } = placesOfShare(images, imageShare);
  const bytes = batch.pixels.byteLength / BATCH;
  return {
    // A host of a hybrid without images has room for one.
    pixels: batch.pixels.slice(first * bytes, Math.max(end, first + 1) * bytes),
    labels: batch.labels.slice(4 * first, 4 * Math.max(end, first + 1)),
    count: end - first,
    first,
    of: images,
  };
}

/** Trains, and says what came of it. */
export async function reportOf(
  coordinator: Coordinator,
  { steps, images, checksGradients, isSecondLate }: HostTask,
): Promise<HostReport> {
  const { world } = coordinator;
  const checks =
    checksGradients === true
      ? await compareWithFiniteDifferences(coordinator, shareOf(world, 0))
      : [];
  const results = [];
  for (let step = 1; step <= steps; step++) {
    if (isSecondLate === true && world.process === 1 && step === steps) await untilLost(world);
    results.push(requireFinite(await coordinator.step(step, shareOf(world, step, images), RULE)));
  }
  const logits = await coordinator.logitsOf(shareOf(world, 1, images));
  const hasOne = world.isAlone || world.fullyConnectedHosts > 1;
  const logitsOfOne = hasOne ? await coordinator.logitsOf(shareOf(world, 1, 1)) : [];
  const stored = await coordinator.store();
  await requireEqualParameters(world, coordinator.network, stored, steps);
  return {
    losses: results.map(({ loss }) => loss),
    accuracies: results.map(({ accuracy }) => accuracy),
    parameters: hashOfParameters(stored),
    logits: [...logits],
    logitsOfOne: [...logitsOfOne],
    exchangeBytes: results[0]!.timings.reduce((sum, timing) => sum + timing.exchangeBytes, 0),
    checks,
  };
}

async function trainAlong(world: World, task: HostTask): Promise<HostReport> {
  world.divideReplicas(task.hostsPerReplica, task.isHybrid);
  prepareProcess();
  const coordinator = await Coordinator.open({
    configuration: smallConfiguration(SEED, task.towers),
    towers: task.towers,
    placement: cpuPlacement(task.workers),
    backend: task.backend,
    batch: Math.ceil(BATCH / world.imageShare.of),
    world,
    ...(task.isSecondLate === true && { exchangeTimeoutMs: LIMIT_MS }),
  });
  const report = await reportOf(coordinator, task);
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
    const reports = await world.gather(report);
    if (world.isFirst) process.stdout.write(JSON.stringify(reports));
    await world.end(undefined, print);
  } catch (error) {
    await world.end(error, print);
  }
}
