/**
 * Timing the placements of one network against each other: on one host split, grouped and dense; with several hosts one
 * alone, replicas, towers and the hybrid. All are open at once and take their steps in turn, so that other load on the
 * machine slows all of them alike.
 */
import type { PlacementName } from '../runs/events.js';
import type { Configuration } from '../configuration.js';
import { BatchRing } from '../data/batches.js';
import { openDataset } from '../data/dataset.js';
import { Coordinator } from '../parallel/coordinator.js';
import type { CoordinatorOptions } from '../parallel/coordinator_options.js';
import type { Placement } from '../parallel/placement.js';
import type { SharedBatch } from '../parallel/shared_batch.js';
import { requireFinite } from '../parallel/step_outcome.js';
import type { StepResult } from '../parallel/step_outcome.js';
import type { World } from '../parallel/world.js';
import { quantile, spreadOf } from '../report/quantiles.js';
import type { Spread } from '../report/quantiles.js';

export interface Candidate {
  name: PlacementName;
  towers: number;
  placement: Placement;
  /** The processes that share each step (default: this one alone). */
  world?: World;
}

/** The parts of a step: the mean over the workers, then the median over the steps, milliseconds. */
export interface Parts {
  forwardMs: number;
  backwardMs: number;
  exchangeCopyMs: number;
  exchangeWaitMs: number;
  updateMs: number;
  /** With several hosts: communication with others, beside computing or not. */
  communicationMs?: number;
  /** With several hosts: waiting for others. */
  exposedMs?: number;
}

/** The measurements of one placement. */
export interface ComparisonRow {
  name: PlacementName;
  /** Ranks of each worker. */
  placement: number[][];
  msPerStep: Spread;
  imagesPerSecond: number;
  /** The median step of the dense network, or of one host of several, over this one's. */
  speedup: number;
  parts: Parts;
  /** Bytes that all workers of this host together read from other ranks per step. */
  exchangeBytes: number;
  workers: { device: string; parameters: number; peakBytes: number }[];
}

/**
 * Makes one batch of noise of the network's input size.
 *
 * @param share which share of it to make (default: all)
 * @throws the reason of `signal` if it is aborted
 */
export async function noiseBatch(
  configuration: Configuration,
  signal?: AbortSignal,
  share = { index: 0, of: 1 },
): Promise<SharedBatch> {
  const data = {
    ...configuration.data,
    source: 'random',
    directory: null,
    view: { type: 'resize' },
    colour: null,
    flip: false,
  } as const;
  const { batch, seed } = configuration.training;
  const { height, width } = configuration.network.input;
  const dataset = await openDataset(data);
  dataset.train.count = Math.max(dataset.train.count, batch);
  const size = { height, width, batch, share };
  const ring = new BatchRing({ dataset, data, ...size, seed, decoders: 1, slots: 1 });
  try {
    const { pixels, labels, count, first, of } = await ring.batchAt({ epoch: 0, batch: 0 }, signal);
    return { pixels, labels, count, first, of };
  } finally {
    await ring.close();
  }
}

/** A placement that takes its turns, and their times. */
export class TimedPlacement {
  private step = 0;
  private peakBytes: number[] = [];
  private readonly results: StepResult[] = [];

  private constructor(
    readonly candidate: Candidate,
    private readonly coordinator: Coordinator,
    private readonly configuration: Configuration,
    private readonly batch: SharedBatch,
  ) {}

  static async open(
    candidate: Candidate,
    configuration: Configuration,
    options: Pick<CoordinatorOptions, 'backend' | 'precision' | 'trace' | 'signal'>,
    batch: SharedBatch,
  ): Promise<TimedPlacement> {
    const coordinator = await Coordinator.open({
      configuration,
      ...candidate,
      ...options,
      timed: true,
      batch: Math.ceil(configuration.training.batch / (candidate.world?.imageShare.of ?? 1)),
    });
    return new TimedPlacement(candidate, coordinator, configuration, batch);
  }

  /** Takes steps that are not timed; the first one measures memory. @throws the reason of `signal` between them */
  async warmUp(signal?: AbortSignal): Promise<void> {
    this.peakBytes = (await this.take(true)).peakBytes;
    signal?.throwIfAborted();
    await this.take(false);
  }

  /** Takes one timed step. */
  async turn(): Promise<void> {
    this.results.push(await this.take(false));
  }

  private async take(measurePeak: boolean): Promise<StepResult> {
    const { learningRate, momentum, weightDecay } = this.configuration.training;
    const rule = { learningRate, momentum, weightDecay };
    const step = ++this.step;
    const { pixels } = this.batch;
    // GPUs upload the batch of each step during the one before, as in training.
    const batch = { ...this.batch, serial: step, next: () => ({ pixels, serial: step + 1 }) };
    return requireFinite(await this.coordinator.step(step, batch, rule, measurePeak));
  }

  /** @param referenceMs the median step to which its speed is compared, milliseconds */
  row(referenceMs: number): ComparisonRow {
    const { placement, workers } = this.coordinator;
    const msPerStep = this.msPerStep();
    const part = (name: keyof Required<Parts>): number =>
      quantile(
        this.results.map(
          ({ timings }) => timings.reduce((sum, worker) => sum + worker[name], 0) / timings.length,
        ),
        0.5,
      );
    return {
      name: this.candidate.name,
      placement: placement.map(({ ranks }) => ranks),
      msPerStep,
      imagesPerSecond: (this.batch.of! / msPerStep.median) * 1000,
      speedup: referenceMs / msPerStep.median,
      parts: {
        forwardMs: part('forwardMs'),
        backwardMs: part('backwardMs'),
        exchangeCopyMs: part('exchangeCopyMs'),
        exchangeWaitMs: part('exchangeWaitMs'),
        updateMs: part('updateMs'),
        ...(this.candidate.world !== undefined && {
          communicationMs: part('communicationMs'),
          exposedMs: part('exposedMs'),
        }),
      },
      exchangeBytes: this.results[0]!.timings.reduce(
        (sum, worker) => sum + worker.exchangeBytes,
        0,
      ),
      workers: placement.map(({ device }, worker) => ({
        device,
        parameters: workers[worker]!.parameters,
        peakBytes: this.peakBytes[worker]!,
      })),
    };
  }

  msPerStep(): Spread {
    return spreadOf(this.results.map(({ stepMs }) => stepMs));
  }

  async close(): Promise<void> {
    await this.coordinator.close();
  }
}

/**
 * Lets each contender take `steps` turns. They go one after another, and another of them goes first each time.
 *
 * @param afterTurn hears after each turn what share of all is done, from 0 to 1
 */
export async function takeTurns(
  contenders: { turn(): Promise<void> }[],
  steps: number,
  afterTurn: (done: number) => void = () => {},
): Promise<void> {
  for (let step = 0; step < steps; step++) {
    for (let index = 0; index < contenders.length; index++) {
      await contenders[(step + index) % contenders.length]!.turn();
      afterTurn((step * contenders.length + index + 1) / (steps * contenders.length));
    }
  }
}
