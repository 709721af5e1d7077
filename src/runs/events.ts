/**
 * Events of training, testing and timing.
 *
 *     const events = new RunEvents();
 *     events.on('step', ({ step, loss }) => console.log(step, loss));
 *     await train({ preset: 'demo', events });
 *
 * Listeners are called in the main thread while the workers wait, so they must be quick. If a listener
 * throws, the run is saved and ends as failed.
 */
import { EventEmitter } from 'node:events';
import type { Configuration } from '../configuration.js';
import type { JpegDecoder } from '../data/choose_jpeg_decoder.js';
import type { Crops } from '../data/views.js';
import type { StepTimingWithUpdate } from '../parallel/step_outcome.js';
import type { GradientRoute } from '../parallel/messages.js';
import type { Placement } from '../parallel/placement.js';
import type { Summary } from './summary.js';
import type { TestEvent, TrainEvent } from './metrics.js';
import type { TensorMap } from './safetensors.js';

/** A process of those that train together, and its workers. */
export interface HostPlacement {
  name: string;
  placement: Placement;
}

/** The towers are open and the run folder exists; no step was taken yet. */
export interface RunStart {
  /** Run folder. */
  path: string;
  configuration: Configuration;
  /** What a resumed run has otherwise than before, such as `training.batch: 64 → 128`. */
  changes: string[];
  /** Steps done: 0, or where a resumed run continues. */
  step: number;
  /** The step after which the run is complete. */
  lastStep: number;
  batchesPerEpoch: number;
  /** Parameters of all towers. */
  parameterCount: number;
  towers: number;
  /** Workers of this process. */
  placement: Placement;
  /** The processes that train together; none if it is one. */
  hosts: HostPlacement[];
  /** How GPUs' gradients are summed over hosts; null if they are not. */
  gradientRoute: GradientRoute | null;
  /** The backend and its version, as the workers named it. */
  backend: string;
  /** What decodes the JPEGs; absent if the data set has none. */
  jpegDecoder?: JpegDecoder | undefined;
}

/** A step was committed on every rank: its line of `metrics.jsonl`, and the position in the run. */
export interface StepDone extends TrainEvent {
  /** The batch's number in its epoch, from 1. */
  batch: number;
  batches: number;
  epochs: number;
  /** Images in the batch. */
  images: number;
  /** From the end of the last step to the end of this one, including the wait for its data. */
  seconds: number;
  stepsLeft: number;
  /** Where each worker's time went, milliseconds. */
  timings: StepTimingWithUpdate[];
}

/** How far a test has come. */
export interface Testing {
  images: number;
  /** Images to test. */
  of: number;
}

/** A test is done: its line of `metrics.jsonl`, and the number of images. */
export interface TestDone extends TestEvent {
  images: number;
}

/** The test at the end of a run whose configuration asks for more than one crop per image. */
export interface FinalTest {
  step: number;
  crops: Crops;
  loss: number;
  top1: number;
  top5: number;
  images: number;
}

/**
 * A checkpoint is on disk. The next one overwrites the tensors: a listener must copy what it needs for longer
 * than its own call.
 */
export interface CheckpointSaved {
  path: string;
  step: number;
  epoch: number;
  /** Canonical parameters by name. */
  parameters: TensorMap;
  /** Their momentum buffers, which are their last updates. */
  velocities: TensorMap;
}

/**
 * What `compare` times. On one host: each tower on a worker of its own, all towers on one worker, or only one tower. With
 * several: one of them alone, or all, by their parallelism.
 */
export type PlacementName =
  'split' | 'grouped' | 'dense' | 'one host' | 'replicas' | 'towers' | 'hybrid';

/** How many steps `compare` has timed, all placements together. */
export interface TurnTaken {
  done: number;
  of: number;
}

/** How far other work has come, such as reading the training images. */
export interface WorkProgress {
  /** Such as `reading the training images` or `searching`. */
  doing: string;
  /** What `done` and `of` count. */
  unit: string;
  done: number;
  of: number;
}

/** The events of `RunEvents` and their arguments. */
export interface RunEventMap {
  /** Something is not as it was asked for, such as a CPU in place of a GPU. */
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
  /** The run has ended, in whatever way: `summary.json`, which was just written. */
  end: [Summary];
  /** `compare` omits a placement, and why. */
  omitted: [name: PlacementName, reason: string];
  /** `compare` opens a placement and takes its first, untimed steps. */
  warmUp: [name: PlacementName];
  turn: [TurnTaken];
}

/** Emits the events of one run or comparison. */
export class RunEvents extends EventEmitter<RunEventMap> {}
