/** What comes of a step: either every rank is updated, or none is because a value is not finite. */
import { UserError } from '../errors.js';
import type { Network } from '../model/network.js';
import type { NotFinitePlace, StepTiming } from './messages.js';

/** The parts of a step on one worker, milliseconds. */
export interface StepTimingWithUpdate extends StepTiming {
  updateMs: number;
}

/** A step that every rank has taken. */
export interface StepResult {
  finite: true;
  /** Mean over the batch, nats. */
  loss: number;
  /** Share of the batch whose largest logit is the label's. */
  accuracy: number;
  /** Wall time of compute and commit, milliseconds. */
  stepMs: number;
  /** One per worker. */
  timings: StepTimingWithUpdate[];
  /** One per worker; 0 unless measured. */
  peakBytes: number[];
}

/** A step that no rank has taken: all parameters are as before. */
export interface StepRefused {
  finite: false;
  error: NotFiniteError;
}

export type StepOutcome = StepResult | StepRefused;

/** The loss, an output or a gradient is not finite on some rank. */
export class NotFiniteError extends UserError {
  constructor(
    message: string,
    readonly rank: number,
    /** The layer where it first appeared; null if only the loss is not finite. */
    readonly layer: string | null,
  ) {
    super(message);
  }
}

/** @throws NotFiniteError if no rank has taken the step */
export function requireFinite(outcome: StepOutcome): StepResult {
  if (!outcome.finite) throw outcome.error;
  return outcome;
}

/**
 * Names the first parameter that is not finite, else the first output, else the gradient that was computed first.
 *
 * @param outputs the first output on each worker that is not finite
 * @param found what each worker found not to be finite before the update, at least one place
 */
export function explainNotFinite(
  { layers }: Network,
  step: number,
  outputs: NotFinitePlace[],
  found: NotFinitePlace[],
): NotFiniteError {
  const [parameter] = found
    .filter((place) => place.of === 'parameter')
    .sort((a, b) => a.layer - b.layer);
  const [output] = outputs.toSorted((a, b) => a.layer - b.layer);
  const [gradient] = found.toSorted((a, b) => b.layer - a.layer);
  const { rank, layer, of } = parameter ?? output ?? gradient!;
  const name = layers[layer]?.name ?? null;
  const what = name === null ? 'the loss' : `the ${of} of ${name} on rank ${rank}`;
  return new NotFiniteError(
    `step ${step}: ${what} is not finite; the parameters stay at step ${step - 1}: ` +
      'lower --lr, check the data, or skip such batches with --skip-nonfinite',
    rank,
    name,
  );
}
