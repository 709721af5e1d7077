/** A step's line of `metrics.jsonl`, from what the workers measured. */
import type { StepResult, StepTimingWithUpdate } from '../parallel/step_outcome.js';
import type { TrainEvent } from '../runs/metrics.js';

/** What the workers do not know of a step. */
export interface StepCircumstances {
  /** Number of hosts that take it. */
  hosts: number;
  step: number;
  /** From 1. */
  epoch: number;
  learningRate: number;
  /** Images in the batch. */
  batch: number;
  /** Milliseconds of the step and the wait for its data. */
  elapsedMs: number;
  /** Milliseconds of that wait. */
  dataWaitMs: number;
}

/** Takes the mean of the workers' times and the sum of their bytes. */
export function trainEventOf(
  { timings, loss, accuracy, stepMs }: StepResult,
  { hosts, step, epoch, learningRate, batch, elapsedMs, dataWaitMs }: StepCircumstances,
): TrainEvent {
  const gpuBytes = Math.max(...timings.map((worker) => worker.gpuBytes ?? 0));
  const mean = (part: (worker: StepTimingWithUpdate) => number): number =>
    timings.reduce((sum, worker) => sum + part(worker), 0) / timings.length;
  return {
    event: 'train',
    step,
    epoch,
    loss,
    accuracy,
    learningRate,
    imagesPerSecond: (batch / elapsedMs) * 1000,
    dataWaitMs,
    stepMs,
    forwardMs: mean(({ forwardMs }) => forwardMs),
    backwardMs: mean(({ backwardMs }) => backwardMs),
    exchangeMs: mean((worker) => worker.exchangeCopyMs + worker.exchangeWaitMs),
    exchangeWaitMs: mean(({ exchangeWaitMs }) => exchangeWaitMs),
    updateMs: mean(({ updateMs }) => updateMs),
    exchangeBytes: timings.reduce((sum, worker) => sum + worker.exchangeBytes, 0),
    ...(gpuBytes > 0 && { gpuBytes }),
    ...(hosts > 1 && {
      communicationMs: mean(({ communicationMs }) => communicationMs),
      exposedMs: mean(({ exposedMs }) => exposedMs),
    }),
  };
}
