/**
 * How far a run has come: the part of a training loop's state that a checkpoint keeps.
 *
 * Random numbers need no state of their own: they are functions of the seed and this position.
 */

/** One test of the network, made with the parameters after `step`. */
export interface Tested {
  step: number;
  /** Mean cross-entropy over the test images, nats. */
  loss: number;
  /** Fractions of the test images, 0 to 1. */
  top1: number;
  top5: number;
}

/** What a `plateau` schedule remembers of the tests at the epochs' ends. */
export interface PlateauState {
  /** How often the learning rate was multiplied by the schedule's factor. */
  drops: number;
  /** Top-1 accuracy of the best test, a fraction; null before the first. */
  best: number | null;
  /** Tests since the best one, or since the last drop. */
  waited: number;
}

/** A position in a training run. Values are replaced, never changed. */
export interface Progress {
  /** Steps done, including skipped ones. */
  step: number;
  /** Epochs completed and tested: the index of the current one, from 0. */
  epoch: number;
  /** Batches of the current epoch done. If all are done, the epoch's test is missing. */
  batch: number;
  /** Steps that changed nothing because a loss or gradient was not finite. */
  skipped: number;
  /** The latest test of one crop per image; null before the first. */
  lastTest: Tested | null;
  /** The test with the highest top-1 accuracy, the earliest of equals; null before the first. */
  best: { step: number; top1: number } | null;
  /** Only with a `plateau` schedule, from the end of the first epoch. */
  plateau: PlateauState | undefined;
}

/** The position before the first step. */
export const INITIAL_PROGRESS: Progress = {
  step: 0,
  epoch: 0,
  batch: 0,
  skipped: 0,
  lastTest: null,
  best: null,
  plateau: undefined,
};
