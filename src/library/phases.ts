/** The phases of a run, each with data of its own: before and after its validation images join the training images. */
import type { Configuration } from '../configuration.js';
import type { Dataset } from '../data/examples.js';
import { UserError } from '../errors.js';

export interface Phase {
  /** `test` is what the tests of this phase see. */
  dataset: Dataset;
  /** Epochs completed when the phase ends, counted from the start of the run. */
  epochs: number;
  /** Whether each epoch ends with a test. If not, only the end of the run is tested. */
  testsEpochs: boolean;
}

/**
 * The phases in order: one, or two if the run reaches `data.validationUntil`.
 *
 * The tests see the validation images if there are any, so that no choice depends on the test set. Once these are
 * trained on, nothing is left to choose by.
 *
 * @throws UserError if the validation images are no part of the training images, and so cannot join them
 */
export function phasesOf(
  { validation, undivided, ...dataset }: Dataset,
  { data: { validationUntil }, training: { epochs } }: Configuration,
): Phase[] {
  const all = { dataset, epochs, testsEpochs: true };
  if (validation === undefined) return [all];
  const heldOut = { ...all, dataset: { ...dataset, test: validation } };
  if (validationUntil === undefined || validationUntil >= epochs) return [heldOut];
  if (undivided === undefined) {
    throw new UserError(
      'data.validationUntil is for validation images that were taken from the training images: set data.validation to their share, or leave it out',
    );
  }
  const joined = { dataset: { ...dataset, train: undivided }, epochs, testsEpochs: false };
  return [{ ...heldOut, epochs: validationUntil }, joined];
}

/** The phase of the step that follows `epoch` completed epochs. */
export function phaseAt(phases: readonly Phase[], epoch: number): Phase {
  return phases.find(({ epochs }) => epoch < epochs) ?? phases.at(-1)!;
}
