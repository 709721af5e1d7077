/**
 * What a training run does next: one pure function of an explicit state, and one function per outcome that
 * makes the next state. `trainer.ts` carries the decisions out.
 *
 * The state holds no clocks and no open files. Values are replaced, never changed, so two states can be
 * compared by identity: a checkpoint is up to date if it holds the very `progress` that the state has.
 */
import type { TrainingConfiguration } from '../configuration.js';
import { UserError } from '../errors.js';
import type { Progress, Tested } from '../runs/progress.js';
import { plateauAfter } from './schedule.js';

/** What somebody outside the loop asks for: a signal, a timer, a listener. */
export interface Asked {
  /** Save and end the run. */
  stop: boolean;
  /** Save and go on. */
  save: boolean;
}

/**
 * What a failure leaves of the towers' parameters:
 *
 * - `whole`: they are those of the last step, and worth saving;
 * - `suspect`: they are there, but have diverged;
 * - `nothing`: a worker is lost, or the run folder belongs to another process.
 */
export type Leaves = 'whole' | 'suspect' | 'nothing';

export interface Limits {
  /** The step with which the phase is complete. */
  lastStep: number;
  /** The step with which the run is complete: beyond `lastStep` if another phase follows. */
  runEnd: number;
  /** Batches per epoch. */
  batches: number;
  /** Steps that may be skipped because they are not finite. */
  skips: number;
  /** Steps between checkpoints inside an epoch; Infinity for none. */
  checkpointEvery: number;
  /** Whether each epoch ends with a test. If not, the only test is that of the last step. */
  testsEpochs: boolean;
  /** Steps between tests inside an epoch; Infinity for none. */
  testEvery: number;
  /** Crops per image of the test that ends the run; 1 if the test at the last step is enough. */
  finalCrops: number;
}

export interface LoopState {
  progress: Progress;
  /** The progress that the latest checkpoint holds, or that was loaded; null before the first. */
  saved: Progress | null;
  /** The test with `limits.finalCrops` crops; null until it is made. */
  finalTest: Tested | null;
  asked: Asked;
  /** The first failure; the run ends with it. */
  trouble: { error: unknown; leaves: Leaves } | null;
  limits: Limits;
}

export type Status = 'completed' | 'interrupted' | 'failed';

export type Action = 'step' | 'test' | 'finalTest' | 'save' | Status;

const NOTHING_ASKED: Asked = { stop: false, save: false };

/** @param loaded whether `progress` comes from a checkpoint of this run */
export function initialLoopState(progress: Progress, loaded: boolean, limits: Limits): LoopState {
  return {
    progress,
    saved: loaded ? progress : null,
    finalTest: null,
    asked: NOTHING_ASKED,
    trouble: null,
    limits,
  };
}

/** The next thing to do. A status ends the run. */
export function next(state: LoopState): Action {
  const { progress, saved, finalTest, asked, trouble, limits } = state;
  const isSaved = saved === progress;
  if (trouble !== null) return trouble.leaves === 'whole' && !isSaved ? 'save' : 'failed';

  const isTested = progress.lastTest?.step === progress.step;
  const isTrained = progress.step >= limits.lastStep;
  const hasFinalTest = finalTest !== null || limits.finalCrops === 1;
  if (isTrained && isTested && isSaved && hasFinalTest) return 'completed';

  if ((asked.stop || asked.save) && !isSaved) return 'save';
  if (asked.stop) return 'interrupted';

  const isEpochDone = progress.batch >= limits.batches;
  const isEvery = (steps: number) => progress.step > 0 && progress.step % steps === 0;
  if (!isTested && (isTrained || isEpochDone || isEvery(limits.testEvery))) return 'test';
  const isUntestedEpochDone = !limits.testsEpochs && progress.step > 0 && progress.batch === 0;
  const isDue = isUntestedEpochDone || isEvery(limits.checkpointEvery);
  if ((isTested || isDue) && !isSaved) return 'save';
  return isTrained ? 'finalTest' : 'step';
}

/** @param skipped why the step changed nothing; null if it was taken */
export function afterStep(state: LoopState, skipped: Error | null, asked: Asked): LoopState {
  const { progress, limits } = state;
  if (skipped !== null && progress.skipped >= limits.skips) {
    return afterTrouble({ ...state, asked }, skipped, 'suspect');
  }
  const stepped: Progress = {
    ...progress,
    step: progress.step + 1,
    batch: progress.batch + 1,
    skipped: progress.skipped + (skipped === null ? 0 : 1),
  };
  const isEpochDone = stepped.batch >= limits.batches && stepped.step < limits.lastStep;
  if (limits.testsEpochs || !isEpochDone) return { ...state, asked, progress: stepped };
  return { ...state, asked, progress: { ...stepped, epoch: progress.epoch + 1, batch: 0 } };
}

/**
 * @param test null if it was cut short: it will be made again
 * @param training decides what the test means for a `plateau` schedule
 */
export function afterTest(
  state: LoopState,
  test: Omit<Tested, 'step'> | null,
  asked: Asked,
  training: TrainingConfiguration,
): LoopState {
  if (test === null) return { ...state, asked };
  const { progress, limits } = state;
  const { step } = progress;
  if (!Number.isFinite(test.loss)) {
    const error = new UserError(
      `the test after step ${step}: its loss is not finite; lower --lr, and check the data`,
    );
    return afterTrouble({ ...state, asked }, error, 'suspect');
  }
  const { loss, top1, top5 } = test;
  const lastTest: Tested = { step, loss, top1, top5 };
  const isFinalTest = progress.lastTest?.step === step;
  if (isFinalTest) return { ...state, asked, finalTest: lastTest };

  // The tests of a run whose epochs are not tested were of other images.
  const isBetter = !limits.testsEpochs || progress.best === null || top1 > progress.best.top1;
  const best = isBetter ? { step, top1 } : progress.best;
  const tested: Progress = { ...progress, lastTest, best };
  if (progress.batch < limits.batches) return { ...state, asked, progress: tested };
  const plateau = plateauAfter(training, progress.plateau, top1);
  const nextEpoch: Progress = { ...tested, plateau, epoch: progress.epoch + 1, batch: 0 };
  return { ...state, asked, progress: nextEpoch };
}

/** A checkpoint of the state's progress is being written. */
export function afterSave(state: LoopState, asked: Asked): LoopState {
  return { ...state, asked, saved: state.progress };
}

/** Somebody asked the run to stop while it waited for data. */
export function afterStop(state: LoopState): LoopState {
  return { ...state, asked: { stop: true, save: false } };
}

/**
 * The first failure is the one that the run ends with. A second one comes from the attempt to save what the
 * first left, which is made once.
 */
export function afterTrouble(state: LoopState, error: unknown, leaves: Leaves): LoopState {
  const { trouble } = state;
  if (trouble === null) return { ...state, trouble: { error, leaves } };
  return { ...state, trouble: { ...trouble, leaves: leaves === 'whole' ? 'nothing' : leaves } };
}

/** What was taken for saved is not: its writing failed. */
export function afterFailedWrite(state: LoopState, error: unknown): LoopState {
  return afterTrouble({ ...state, saved: null }, error, 'whole');
}
