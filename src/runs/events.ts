/**
 * What happens while towers train, test or are timed, as events: the trainer and `compare` emit them;
 * the command line prints them, and whatever else watches a run subscribes to them.
 *
 *     const events = new RunEvents();
 *     events.on('step', ({ step, loss }) => console.log(step, loss));
 *     await train({ preset: 'demo', events });
 *
 * Listeners are called at once, in the main thread, while the workers wait: what takes long belongs
 * elsewhere. What a listener throws ends the run as a failure.
 */
import { EventEmitter } from 'node:events';
import type { Configuration } from '../configuration.js';
import type { Crops } from '../data/views.js';
import type { StepTimingWithUpdate } from '../parallel/step_outcome.js';
import type { Placement } from '../parallel/placement.js';
import type { Summary } from './summary.js';
import type { TestEvent, TrainEvent } from './metrics.js';
import type { TensorMap } from './safetensors.js';

/** The towers are open and the run folder is there; nothing is trained yet. */
export interface RunStart {
  /** Run folder. */
  path: string;
  configuration: Configuration;
  /** Of a resumed run: what is otherwise than before, such as `training.batch: 64 → 128`. */
  changes: string[];
  /** Steps done: 0, or where a resumed run goes on. */
  step: number;
  /** The step with which the run is complete. */
  lastStep: number;
  batchesPerEpoch: number;
  /** Parameters of all towers. */
  parameterCount: number;
  towers: number;
  placement: Placement;
  /** The backend and its version, as the workers named it. */
  backend: string;
}

/** A step that is committed on every rank: the line of `metrics.jsonl`, and where training stands. */
export interface StepDone extends TrainEvent {
  /** Counted from 1 in its epoch. */
  batch: number;
  batches: number;
  epochs: number;
  /** Images in the batch. */
  images: number;
  /** From the last step's end to this one's: the step and the wait for its data. */
  seconds: number;
  stepsLeft: number;
  /** Where each worker's time went, milliseconds. */
  timings: StepTimingWithUpdate[];
}

/** A test has got so far. */
export interface Testing {
  images: number;
  /** Images it will test. */
  of: number;
}

/** All test images are through: the line of `metrics.jsonl`, and their number. */
export interface TestDone extends TestEvent {
  images: number;
}

/** The test that ends the run, where its configuration asks for more than one view of each image. */
export interface FinalTest {
  step: number;
  crops: Crops;
  loss: number;
  top1: number;
  top5: number;
  images: number;
}

/** A checkpoint is on disk. The tensors are the towers' memory: copy what must outlast the listener. */
export interface CheckpointSaved {
  path: string;
  step: number;
  epoch: number;
  /** Canonical parameters by name. */
  parameters: TensorMap;
  /** The momentum of each, which is its last update. */
  velocities: TensorMap;
}

/** Towers apart, towers together, or one tower. */
export type PlacementName = 'split' | 'grouped' | 'dense';

/** `compare` has timed so many of its steps, all placements together. */
export interface TurnTaken {
  done: number;
  of: number;
}

/** Work beside the steps and tests, before a run or in place of one. */
export interface WorkProgress {
  /** `reading the training images`, `searching`. */
  doing: string;
  /** Of what `done` counts. */
  unit: string;
  done: number;
  of: number;
}

/** The events of `RunEvents` and what each brings. */
export interface RunEventMap {
  /** Something was not as asked for, such as a CPU in place of a GPU. */
  warning: [message: string];
  progress: [WorkProgress];
  start: [RunStart];
  step: [StepDone];
  testing: [Testing];
  test: [TestDone];
  finalTest: [FinalTest];
  checkpoint: [CheckpointSaved];
  /** Sent by the caller, not by the run: save a checkpoint after this step, and go on. */
  saveNow: [];
  /** The run has ended, however it did: `summary.json`, just written. */
  end: [Summary];
  /** `compare` leaves out a placement, and why. */
  omitted: [name: PlacementName, reason: string];
  /** `compare` opens a placement and takes its first steps. */
  warmUp: [name: PlacementName];
  turn: [TurnTaken];
}

/** The emitter that a caller listens to. */
export class RunEvents extends EventEmitter<RunEventMap> {}
