/**
 * What a run tells the world: the lines of its metrics, the events for listeners, and how fast it was.
 *
 * It follows the loop and decides nothing. Its clocks leave out the time of tests and checkpoints.
 */
import type { Configuration } from '../configuration.js';
import { undecodableWarning } from '../data/undecodable.js';
import type { BatchRing } from '../data/batches.js';
import type { Coordinator } from '../parallel/coordinator.js';
import type { NotFiniteError, StepOutcome, StepResult } from '../parallel/step_outcome.js';
import type { HostPlacement, RunEvents } from '../runs/events.js';
import type { SkipEvent, TestEvent } from '../runs/metrics.js';
import type { Progress } from '../runs/progress.js';
import type { CheckpointTensors } from '../runs/checkpoint_writer.js';
import type { RunVerbs } from '../runs/run.js';
import type { Communication, TestResult } from '../runs/summary.js';
import type { Limits, LoopState } from './policy.js';
import { trainEventOf } from './train_event.js';

export interface RecorderOptions {
  configuration: Configuration;
  coordinator: Coordinator;
  ring: BatchRing;
  run: RunVerbs;
  events: RunEvents;
  /** The processes that train together; none if it is one. */
  hosts: HostPlacement[];
}

export class Recorder {
  private lastStepEnd = performance.now();
  /** `ring.waitedMs` at the end of the last step. */
  private lastWaitedMs = 0;
  /** How many of `ring.undecodable` were warned of. */
  private warnedOf = 0;
  /** Milliseconds of steps and waiting for their data. */
  private trainingMs = 0;
  /** Images trained in that time. */
  private trainedImages = 0;
  /** Steps trained, and the sums of their communication with other hosts. */
  private readonly trained = { steps: 0, communicationMs: 0, exposedMs: 0 };

  constructor(private readonly options: RecorderOptions) {}

  /** Images per second of the steps so far; 0 before the first. */
  get imagesPerSecond(): number {
    return this.trainingMs === 0 ? 0 : (this.trainedImages / this.trainingMs) * 1000;
  }

  /** Means of the steps so far; 0 before the first. */
  get communication(): Communication {
    const { communicationMs, exposedMs } = this.trained;
    const steps = Math.max(1, this.trained.steps);
    return { communicationMs: communicationMs / steps, exposedMs: exposedMs / steps };
  }

  /** @param changes what a resumed run's configuration has otherwise than before */
  started({ progress, limits }: LoopState, changes: string[]): void {
    const { configuration, coordinator, ring, run, events, hosts } = this.options;
    events.emit('start', {
      path: run.folder.path,
      configuration,
      changes,
      step: progress.step,
      lastStep: limits.runEnd,
      batchesPerEpoch: limits.batches,
      parameterCount: coordinator.network.parameterCount,
      towers: coordinator.network.towers,
      placement: coordinator.placement,
      hosts,
      gradientRoute: coordinator.gradientRoute,
      backend: coordinator.workers[0]!.backend,
      jpegDecoder: ring.jpegDecoder,
    });
    this.resetClock();
  }

  /** Leaves the time since the last step out of the next one's. */
  resetClock(): void {
    this.lastStepEnd = performance.now();
    this.lastWaitedMs = this.options.ring.waitedMs;
  }

  /**
   * @param state after the step
   * @param images in its batch
   */
  stepped(state: LoopState, outcome: StepOutcome, learningRate: number, images: number): void {
    if (outcome.finite) this.taken(state, outcome, learningRate, images);
    else if (state.trouble === null) this.skipped(state, outcome.error);
    this.warnOfUndecodable();
  }

  private taken(
    { progress, limits }: LoopState,
    result: StepResult,
    learningRate: number,
    images: number,
  ): void {
    const { configuration, coordinator, ring, run, events } = this.options;
    const now = performance.now();
    const elapsedMs = now - this.lastStepEnd;
    const dataWaitMs = ring.waitedMs - this.lastWaitedMs;
    this.resetClock();
    this.trainingMs += elapsedMs;
    this.trainedImages += images;
    const { epoch, batch } = placeOf(progress, limits);
    const event = trainEventOf(result, {
      hosts: coordinator.world.processes,
      step: progress.step,
      epoch,
      learningRate,
      batch: images,
      elapsedMs,
      dataWaitMs,
    });
    this.trained.steps++;
    this.trained.communicationMs += event.communicationMs ?? 0;
    this.trained.exposedMs += event.exposedMs ?? 0;
    run.log(event);
    events.emit('step', {
      ...event,
      batch,
      batches: limits.batches,
      epochs: configuration.training.epochs,
      images,
      seconds: elapsedMs / 1000,
      stepsLeft: limits.runEnd - progress.step,
      timings: result.timings,
    });
  }

  private skipped({ progress, limits }: LoopState, error: NotFiniteError): void {
    const { run, events } = this.options;
    const { rank, layer, message } = error;
    const { step, skipped } = progress;
    const { epoch } = placeOf(progress, limits);
    const event: SkipEvent = { event: 'skip', step, epoch, rank, layer };
    run.log(event);
    events.emit(
      'warning',
      `${message}; this batch is skipped, ${skipped} of at most ${limits.skips}`,
    );
    this.resetClock();
  }

  testing(images: number, of: number): void {
    this.options.events.emit('testing', { images, of });
  }

  /**
   * @param progress before the test
   * @param result null if the test was cut short
   */
  tested({ step, epoch }: Progress, kind: 'test' | 'finalTest', result: TestResult | null): void {
    this.warnOfUndecodable();
    this.resetClock();
    if (result === null || !Number.isFinite(result.loss)) return;
    const { run, events } = this.options;
    const { loss, top1, top5, images, crops } = result;
    run.keepTest({ step, ...result });
    if (kind === 'finalTest') {
      events.emit('finalTest', { step, crops, loss, top1, top5, images });
      return;
    }
    const event: TestEvent = { event: 'test', step, epoch: epoch + 1, loss, top1, top5 };
    run.log(event);
    events.emit('test', { ...event, images });
  }

  /** A checkpoint is on disk. */
  saved(path: string, { step, epoch }: Progress, { model, optimizer }: CheckpointTensors): void {
    const { events } = this.options;
    events.emit('checkpoint', { path, step, epoch, parameters: model, velocities: optimizer });
  }

  private warnOfUndecodable(): void {
    const { ring, events } = this.options;
    const news = ring.undecodable.slice(this.warnedOf);
    this.warnedOf = ring.undecodable.length;
    news.forEach((image) => events.emit('warning', undecodableWarning(image)));
  }
}

/** Epoch and batch of the step just taken, from 1. The end of an epoch without a test is the next one's beginning. */
function placeOf(
  { epoch, batch }: Progress,
  { batches }: Limits,
): { epoch: number; batch: number } {
  return batch === 0 ? { epoch, batch: batches } : { epoch: epoch + 1, batch };
}
