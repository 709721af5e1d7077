/**
 * The towers and the batch ring that feeds them, open together and closed together. Called by `train`
 * and `evaluate`.
 */
import { availableParallelism } from 'node:os';
import type { BackendName, Precision } from '../backend/backend.js';
import type { Configuration } from '../configuration.js';
import { BatchRing } from '../data/batches.js';
import type { Dataset } from '../data/dataset.js';
import { normalizationOf } from '../data/normalization.js';
import type { DatasetStatistics } from '../data/statistics.js';
import { Coordinator } from '../parallel/coordinator.js';
import type { Placement } from '../parallel/placement.js';
import type { TraceGroup } from '../report/trace.js';

/** A batch in use, one ready and one being decoded. */
const SLOTS = 3;

export interface SessionOptions {
  configuration: Configuration;
  dataset: Dataset;
  towers: number;
  placement: Placement;
  backend: BackendName;
  precision: Precision;
  /** Milliseconds after which workers that do not move on are taken to hang; 5 minutes unless given. */
  exchangeTimeoutMs?: number | undefined;
  /** Of the training images, where the configuration needs them. */
  statistics: DatasetStatistics | null;
  trace?: TraceGroup | undefined;
  /** Aborted while the workers are prepared: opening rejects with its reason. */
  signal?: AbortSignal | undefined;
}

/** More would not be kept busy by the fastest GPUs. */
const DECODERS_A_GPU = 4;

/**
 * Threads that decode. One keeps up with towers on CPUs, from which it takes a core for as short a time as can be;
 * GPUs leave the cores to it. A batch's bytes do not depend on it.
 */
export function decodersFor(placement: Placement, cores: number): number {
  if (placement.some(({ device }) => device === 'cpu')) return 1;
  const gpus = placement.length;
  // Each GPU's own thread needs a core.
  return Math.max(1, Math.min(DECODERS_A_GPU * gpus, cores - gpus));
}

/** Opens both, awaits `work`, and closes both however it ends. */
export async function withTowers<Result>(
  { configuration, dataset, statistics, ...placed }: SessionOptions,
  work: (coordinator: Coordinator, ring: BatchRing) => Promise<Result>,
): Promise<Result> {
  const { batch, seed } = configuration.training;
  const { height, width } = configuration.network.input;
  const { data } = configuration;
  const ring = new BatchRing({
    dataset,
    data,
    statistics,
    height,
    width,
    batch,
    seed,
    decoders: decodersFor(placed.placement, availableParallelism()),
    slots: SLOTS,
    stallTimeoutMs: placed.exchangeTimeoutMs,
    trace: placed.trace,
  });
  try {
    const normalization = normalizationOf(configuration, statistics);
    const coordinator = await Coordinator.open({ configuration, ...placed, normalization, batch });
    try {
      return await work(coordinator, ring);
    } finally {
      await coordinator.close();
    }
  } finally {
    await ring.close();
  }
}
