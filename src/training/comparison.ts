/**
 * Timing placements of one network against each other: split, grouped and dense. All are open at once
 * and take their steps in turn, so that what else the machine does meets them alike. Called by
 * `compare` and by the benchmark, which lets other programs take turns too.
 */
import type { PlacementName } from '../runs/events.js';
import type { Configuration } from '../configuration.js';
import { BatchRing } from '../data/batches.js';
import { openDataset } from '../data/dataset.js';
import { Coordinator } from '../parallel/coordinator.js';
import type { CoordinatorOptions } from '../parallel/coordinator.js';
import type { Placement } from '../parallel/placement.js';
import type { SharedBatch } from '../parallel/shared_batch.js';
import { requireFinite } from '../parallel/step_outcome.js';
import type { StepResult } from '../parallel/step_outcome.js';
import { quantile, spreadOf } from '../report/quantiles.js';
import type { Spread } from '../report/quantiles.js';

export interface Candidate {
  name: PlacementName;
  towers: number;
  placement: Placement;
}

/** Medians over the steps, of the mean over the workers, milliseconds. */
export interface Parts {
  forwardMs: number;
  backwardMs: number;
  exchangeCopyMs: number;
  exchangeWaitMs: number;
  updateMs: number;
}

/** What was measured of one placement. */
export interface ComparisonRow {
  name: PlacementName;
  /** Ranks of each worker. */
  placement: number[][];
  msPerStep: Spread;
  imagesPerSecond: number;
  /** The dense network's median step over this one's. */
  speedup: number;
  parts: Parts;
  /** Read from other ranks in a step, all workers together. */
  exchangeBytes: number;
  workers: { device: string; parameters: number; peakBytes: number }[];
}

/** One batch of noise at the network's size, in shared memory. */
export async function noiseBatch(configuration: Configuration): Promise<SharedBatch> {
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
  const ring = new BatchRing({ dataset, data, height, width, batch, seed, decoders: 1, slots: 1 });
  try {
    const { pixels, labels, count } = await ring.batchAt({ epoch: 0, batch: 0 });
    return { pixels, labels, count };
  } finally {
    await ring.close();
  }
}

/** A placement that takes its turns. */
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
    numerics: Pick<CoordinatorOptions, 'backend' | 'precision' | 'trace'>,
    batch: SharedBatch,
  ): Promise<TimedPlacement> {
    const coordinator = await Coordinator.open({
      configuration,
      ...candidate,
      ...numerics,
      batch: batch.count,
    });
    return new TimedPlacement(candidate, coordinator, configuration, batch);
  }

  /** Steps that are not timed; the first one measures memory. */
  async warmUp(): Promise<void> {
    this.peakBytes = (await this.take(true)).peakBytes;
    await this.take(false);
  }

  /** One timed step. */
  async turn(): Promise<void> {
    this.results.push(await this.take(false));
  }

  private async take(measurePeak: boolean): Promise<StepResult> {
    const { learningRate, momentum, weightDecay } = this.configuration.training;
    const rule = { learningRate, momentum, weightDecay };
    return requireFinite(await this.coordinator.step(++this.step, this.batch, rule, measurePeak));
  }

  /** @param denseMs the dense network's median step, milliseconds */
  row(denseMs: number): ComparisonRow {
    const { placement, workers } = this.coordinator;
    const msPerStep = this.msPerStep();
    const part = (name: keyof Parts): number =>
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
      imagesPerSecond: (this.batch.count / msPerStep.median) * 1000,
      speedup: denseMs / msPerStep.median,
      parts: {
        forwardMs: part('forwardMs'),
        backwardMs: part('backwardMs'),
        exchangeCopyMs: part('exchangeCopyMs'),
        exchangeWaitMs: part('exchangeWaitMs'),
        updateMs: part('updateMs'),
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
 * Lets every contender take `steps` timed turns, one after another, the order turning round each time.
 *
 * @param afterTurn called after each turn with the share that is done
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
