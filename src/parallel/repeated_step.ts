/**
 * The forward and backward pass of a step on one GPU, recorded once and then repeated as CUDA graphs: one between two exchanges
 * with other workers, each at the cost of one call. It pays where the thread takes longer to ask for the kernels than the GPU to
 * compute them.
 *
 * What differs between two steps of one batch size is the batch, the keys of the dropout masks and what other workers publish;
 * the weights are updated in place. Each worker decides for itself, because the exchanges are the same either way.
 */
import * as tf from '@tensorflow/tfjs-core';
import { capabilities } from '../backend/capabilities.js';
import type { RecordedWork } from '../backend/capabilities.js';
import { messageOf } from '../errors.js';
import type { Key } from '../random.js';
import type { Exchange } from './exchange.js';
import type { Instant, KeptWork } from './round_cost.js';

/** What a forward and backward pass gives. The caller disposes the tensors. */
export interface StepGradients {
  loss: tf.Scalar;
  /** Number of images whose largest logit is the label's. */
  correct: tf.Scalar;
  /** By the weights' names. */
  gradients: tf.NamedTensorMap;
  /** When the forward pass ended. */
  forward: Instant;
}

/** Steps that are computed anew before one is recorded: kernels choose their algorithms, and scratch memory grows. */
const STEPS_BEFORE = 3;

/** How much longer a GPU may take than the thread takes to ask, if the thread is what the step waits for. */
const SLACK = 1.2;

/** Beginning of `RepeatedStep.note` once a step is recorded. */
export const REPEATED_NOTE = 'each step is repeated as';

export class RepeatedStep {
  private recorded: KeptWork<RecordedWork<StepGradients>> | null = null;
  /** Images of the steps computed last, and their number. */
  private images = 0;
  private steps = 0;
  private waitsForThread = false;
  /** Why no step is repeated; null as long as that may be. */
  private failure: string | null = null;
  /** `auto`, `always` or `never`. */
  private readonly when = process.env['TWOTOWER_CUDA_GRAPHS'] ?? 'auto';

  /** For a backend that records work. */
  constructor(private readonly exchange: Exchange) {}

  /**
   * @param inputs what the pass reads of the batch, images first
   * @param weights that it reads
   * @param keys of its dropout masks, in their order
   * @param anew computes the pass
   */
  compute(
    inputs: readonly tf.Tensor[],
    weights: readonly tf.Tensor[],
    keys: () => readonly Key[],
    anew: () => StepGradients,
  ): StepGradients {
    const images = inputs[0]!.shape[0];
    if (images !== this.images) this.forget();
    this.images = images;
    this.recorded ??= this.record(inputs, weights, anew);
    if (this.recorded?.work.repeat(inputs, keys()) === true) {
      this.recorded.hasDone();
      return copyOf(this.recorded.work.result);
    }
    if (this.recorded !== null) this.forget();
    this.steps++;
    return anew();
  }

  /**
   * Hears what the step took, milliseconds.
   *
   * @param askingMs of the thread, until all was enqueued
   * @param deviceMs of the GPU
   */
  took(askingMs: number, deviceMs: number): void {
    this.waitsForThread = deviceMs < SLACK * askingMs;
  }

  /** What happens, in one line, for whoever wants to know; null as long as each step is computed anew. */
  get note(): string | null {
    if (this.recorded !== null) {
      const { pieces } = this.recorded.work;
      return `${REPEATED_NOTE} ${pieces === 1 ? 'a CUDA graph' : `${pieces} CUDA graphs`}`;
    }
    return this.failure && `no step is repeated as CUDA graphs: ${this.failure}`;
  }

  private record(
    inputs: readonly tf.Tensor[],
    weights: readonly tf.Tensor[],
    anew: () => StepGradients,
  ): KeptWork<RecordedWork<StepGradients>> | null {
    const isWanted = this.when === 'always' || (this.when === 'auto' && this.waitsForThread);
    if (!isWanted || this.failure !== null || this.steps < STEPS_BEFORE) return null;
    try {
      return this.exchange.cost.keeping(() =>
        capabilities().record!(inputs, weights, (recording) =>
          this.exchange.recordingIn(recording, anew),
        ),
      );
    } catch (error) {
      this.failure = messageOf(error);
      return null;
    }
  }

  private forget(): void {
    if (this.recorded !== null) {
      const { work, release } = this.recorded;
      const { loss, correct, gradients } = work.result;
      tf.dispose([loss, correct, gradients]);
      work.dispose();
      release();
    }
    this.recorded = null;
    this.steps = 0;
  }
}

/** Tensors that share the memory of the recorded ones. */
function copyOf({ loss, correct, gradients, forward }: StepGradients): StepGradients {
  return {
    loss: tf.clone(loss),
    correct: tf.clone(correct),
    gradients: Object.fromEntries(
      Object.entries(gradients).map(([name, gradient]) => [name, tf.clone(gradient)]),
    ),
    forward,
  };
}
