/**
 * One training run, from its first action to its end.
 *
 * `policy.ts` decides what to do next, this page does it, `recorder.ts` tells about it. Everything random is
 * a function of the seed and the position, so a resumed run takes the same steps as an uninterrupted one.
 *
 * With several hosts, each of them runs this page. They decide alike because what decides is agreed on: a step's
 * outcome, a test's result and what is asked. A host with a failure of its own ends, and so all do.
 */
import { imagesPerStep } from '../configuration.js';
import type { Configuration } from '../configuration.js';
import type { BatchRing } from '../data/batches.js';
import type { Coordinator } from '../parallel/coordinator.js';
import { ReplicasDiverged, requireEqualParameters } from '../parallel/equal_parameters.js';
import type { SharedBatch } from '../parallel/shared_batch.js';
import { NotFiniteParameters } from '../parallel/shared_parameters.js';
import { ProcessLost } from '../parallel/world.js';
import { LockLost } from '../folder_lock.js';
import { SaveError } from '../runs/checkpoint_writer.js';
import type { RunVerbs } from '../runs/run.js';
import type { Progress } from '../runs/progress.js';
import type { CheckpointState } from '../runs/checkpoint_state.js';
import { tensorsIn } from '../runs/tensors.js';
import type { TestResult } from '../runs/summary.js';
import { runTest } from './evaluation.js';
import {
  afterFailedWrite,
  afterSave,
  afterStep,
  afterStop,
  afterTest,
  afterTrouble,
  next,
} from './policy.js';
import type { Asked, Leaves, LoopState, Status } from './policy.js';
import type { Recorder } from './recorder.js';
import type { Requests } from './requests.js';
import { updateRuleAt } from './schedule.js';

/** What a checkpoint says of the run beside its progress. */
export type RunIdentity = Omit<CheckpointState, 'progress'>;

export interface TrainingSession {
  configuration: Configuration;
  /** Names of the classes, by label. */
  classes: string[];
  coordinator: Coordinator;
  ring: BatchRing;
  run: RunVerbs;
  identity: RunIdentity;
  from: LoopState;
  /** What a resumed run has otherwise than before. */
  changes: string[];
  requests: Requests;
  recorder: Recorder;
  /** Tests only a sample of so many images. */
  testLimit: number | undefined;
}

/** Trains until the policy ends the run. Throws nothing: a failure is part of the state. */
export async function train(
  session: TrainingSession,
): Promise<{ status: Status; state: LoopState }> {
  const { configuration, coordinator, run, identity, requests, recorder } = session;
  const { training } = configuration;
  let state = announced(session);
  for (;;) {
    const action = next(state);
    const { progress } = state;
    try {
      if (state.trouble === null) run.check();
      if (action === 'step') {
        const parts = partsOf(session, progress);
        const rule = updateRuleAt(training, coordinator.network, progress);
        const outcome = await coordinator.step(progress.step + 1, parts, rule);
        // The towers have stepped, whatever the recorder's listeners may throw.
        state = afterStep(state, outcome.finite ? null : outcome.error, requests.take());
        recorder.stepped(state, outcome, rule.learningRate, imagesPerStep(training));
      } else if (action === 'test' || action === 'finalTest') {
        const { result, asked } = await test(session, state, action);
        state = afterTest(state, result, asked, training);
        recorder.tested(progress, action, result);
      } else if (action === 'save') {
        await run.written();
        const stored = await coordinator.store();
        if (state.trouble === null) {
          const { world, network } = coordinator;
          await requireEqualParameters(world, network, stored, progress.step);
          await coordinator.world.agree();
        }
        const model = tensorsIn(coordinator.network, stored.parameters);
        const optimizer = tensorsIn(coordinator.network, stored.velocities);
        const tensors = { model, optimizer };
        state = afterSave(state, requests.take());
        run.save({ ...identity, progress }, tensors, (path) =>
          recorder.saved(path, progress, tensors),
        );
        recorder.resetClock();
      } else {
        await run.written();
        return { status: action, state };
      }
    } catch (error) {
      const isWhole = coordinator.world.hostsPerReplica === 1;
      if (requests.isStop(error)) state = afterStop(state);
      else if (error instanceof SaveError && isWhole) state = afterFailedWrite(state, error);
      else state = afterTrouble(state, error, leftBy(error, coordinator));
    }
  }
}

/** The first state, once the listeners know of the run. */
function announced({ from, changes, recorder }: TrainingSession): LoopState {
  try {
    recorder.started(from, changes);
    return from;
  } catch (error) {
    return afterTrouble(from, error, 'whole');
  }
}

/** The batches of the next step; each is released when the next one is asked for. */
async function* partsOf(
  { configuration: { training }, ring, requests }: TrainingSession,
  { epoch, batch: done }: Progress,
): AsyncGenerator<SharedBatch> {
  const { batch: size, accumulate = 1 } = training;
  for (let part = 0; part < accumulate; part++) {
    const place = { epoch, batch: done * accumulate + part };
    const batch = await ring.batchAt(place, requests.patience);
    try {
      const first = part * size;
      const whole = { count: size, first };
      yield { ...batch, first: first + batch.first, of: accumulate * size, whole };
    } finally {
      batch.release();
    }
  }
}

/** Tests until all images are through or the policy wants something else. */
async function test(
  { configuration, classes, coordinator, ring, requests, recorder, testLimit }: TrainingSession,
  state: LoopState,
  action: 'test' | 'finalTest',
): Promise<{ result: TestResult | null; asked: Asked }> {
  const { crops, dropout } = configuration.test;
  let asked: Asked = { stop: false, save: false };
  const result = await runTest(coordinator, ring, {
    classes,
    crops: action === 'test' ? 1 : crops,
    dropout,
    limit: testLimit,
    patience: requests.patience,
    goesOn: (images, of) => {
      recorder.testing(images, of);
      asked = requests.take();
      return next({ ...state, asked }) === action;
    },
  });
  return { result, asked };
}

/** What a failure leaves of the parameters. */
function leftBy(error: unknown, coordinator: Coordinator): Leaves {
  if (error instanceof NotFiniteParameters) return 'suspect';
  const isOver = [LockLost, ProcessLost, ReplicasDiverged].some((kind) => error instanceof kind);
  // The other hosts do not bring their shares to one that fails.
  const isDivided = coordinator.world.hostsPerReplica > 1;
  return coordinator.hasFailed || isOver || isDivided ? 'nothing' : 'whole';
}
