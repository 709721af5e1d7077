/** The towers and the batch ring that feeds them, opened together and closed together. */
import { type BackendName, makesImages } from '../backend/backend.js';
import type { ConvolutionPassAlgorithm } from '../backend/native/addon_layers.js';
import type { Precision } from '../backend/numerics.js';
import type { Configuration } from '../configuration.js';
import { BatchRing } from '../data/batches.js';
import type { JpegDecoder } from '../data/choose_jpeg_decoder.js';
import type { Dataset } from '../data/examples.js';
import { normalizationOf } from '../data/normalization.js';
import type { DatasetStatistics } from '../data/statistics.js';
import { Coordinator } from '../parallel/coordinator.js';
import type { Placement } from '../parallel/placement.js';
import type { TraceTracks } from '../report/trace.js';
import { World } from '../parallel/world.js';
import { usableCores } from '../usable_cores.js';

/** One batch in use, one ready and one being decoded. */
const SLOTS = 3;

export interface SessionOptions {
  configuration: Configuration;
  dataset: Dataset;
  towers: number;
  placement: Placement;
  backend: BackendName;
  precision: Precision;
  /** What decodes JPEGs (default: the CPU). */
  jpegDecoder?: JpegDecoder | undefined;
  /** How the native backend computes these passes, instead of by the cheapest algorithm (default none). */
  keptAlgorithms?: readonly ConvolutionPassAlgorithm[];
  /** Milliseconds without progress of any worker after which one is taken to hang (default 5 minutes). */
  exchangeTimeoutMs?: number | undefined;
  /** Statistics of the training images; null if the configuration needs none. */
  statistics: DatasetStatistics | null;
  trace?: TraceTracks | undefined;
  /** The replicas on all hosts (default: this one alone). */
  world?: World | undefined;
  /** Gives up opening when it is aborted. */
  signal?: AbortSignal | undefined;
}

/** The fastest GPUs could not keep more busy. */
const DECODERS_PER_GPU = 4;

/**
 * Number of threads that decode; a batch's bytes do not depend on it. One keeps up with towers on CPUs, and takes
 * little of their cores. With GPUs the cores are free for decoding.
 */
export function decodersFor(placement: Placement, cores: number): number {
  if (placement.some(({ device }) => device === 'cpu')) return 1;
  const gpus = placement.length;
  // Each GPU's own thread needs a core.
  return Math.max(1, Math.min(DECODERS_PER_GPU * gpus, cores - gpus));
}

/**
 * Opens both, awaits `work`, and closes both however it ends.
 *
 * @throws what `work` or opening throws; the reason of `signal` if it is aborted while they open
 */
export async function withTowers<Result>(
  { configuration, dataset, statistics, ...placed }: SessionOptions,
  work: (coordinator: Coordinator, ring: BatchRing) => Promise<Result>,
): Promise<Result> {
  const { batch, seed } = configuration.training;
  const { height, width } = configuration.network.input;
  const { imageShare, isAlone } = placed.world ?? World.alone();
  const ring = new BatchRing({
    dataset,
    data: configuration.data,
    statistics,
    height,
    width,
    batch,
    ...(!isAlone && { share: imageShare }),
    seed,
    decoders: decodersFor(placed.placement, usableCores()),
    slots: SLOTS,
    leavesViews: placed.placement.every(({ device }) => makesImages(placed.backend, device)),
    jpegDecoder: placed.jpegDecoder,
    stallTimeoutMs: placed.exchangeTimeoutMs,
    trace: placed.trace,
  });
  try {
    const normalization = normalizationOf(configuration, statistics);
    const coordinator = await Coordinator.open({
      configuration,
      ...placed,
      normalization,
      batch: Math.ceil(batch / imageShare.of),
    });
    try {
      return await work(coordinator, ring);
    } finally {
      await coordinator.close();
    }
  } finally {
    await ring.close();
  }
}
