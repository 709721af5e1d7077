/**
 * A run folder in the hands of the one process that trains in it, from its lock to its summary.
 *
 *     const run = Run.claim('runs/demo', configuration);
 *     run.log(event);
 *     run.save(state, { model, optimizer }, (path) => console.log(path));
 *     await run.written();
 *     run.finish(summary);
 *     await run.close();
 */
import type { Configuration } from '../configuration.js';
import { UserError } from '../errors.js';
import type { CheckpointChoice, StoredCheckpoint } from './checkpoint_reader.js';
import type { CheckpointState } from './checkpoint_state.js';
import type { RunFolder } from './layout.js';
import type { MetricsEvent } from './metrics.js';
import type { TensorMap } from './safetensors.js';
import type { LastTest, Summary } from './summary.js';

/** A checkpoint could not be written; the earlier ones are as they were. */
export class SaveError extends UserError {}

/** The tensors of a checkpoint, canonical names and shapes, in shared memory. */
export interface CheckpointTensors {
  model: TensorMap;
  /** Momentum buffers. */
  optimizer: TensorMap;
}

/** The checkpoint that a run resumes from. */
export interface ResumePoint extends StoredCheckpoint {
  /** What was passed over, one line each: newer checkpoints that are damaged. */
  warnings: string[];
}

export declare class Run {
  readonly folder: RunFolder;
  /** What was found in the way, one line each: the lock of a process that has ended. */
  readonly warnings: readonly string[];

  /**
   * Creates and locks a new run folder with its `config.json`.
   *
   * @param path if omitted, the first of `runs/NAME`, `runs/NAME-2` … that is free
   * @throws UserError if the path is taken, locked or cannot be created
   */
  static claim(path: string | undefined, configuration: Configuration): Run;

  /**
   * Locks an existing run folder; changes nothing else in it.
   *
   * @throws UserError if it is no run folder, or another process trains in it
   */
  static reopen(path: string): Run;

  /**
   * Finds and verifies a checkpoint to resume from; `'latest'` passes over damaged ones.
   *
   * @returns null if the run has no checkpoint at all
   * @throws UserError if none of them is whole, or the chosen one is missing or damaged
   */
  load(choice: CheckpointChoice): ResumePoint | null;

  /**
   * Brings the folder back to the moment of a checkpoint, to continue from there with `configuration`:
   * cuts the metrics, removes the summary and a newer `test.json`, and sets later checkpoints aside.
   *
   * @param to null: the start, before the first step
   */
  cutBack(to: StoredCheckpoint | null, configuration: Configuration): void;

  /** Appends a line to `metrics.jsonl`. @throws UserError if it cannot be written; LockLost */
  log(event: MetricsEvent): void;

  /** Replaces `test.json`. @throws UserError if it cannot be written; LockLost */
  keepTest(test: LastTest): void;

  /**
   * Begins to write a checkpoint in another thread and returns at once.
   *
   * The tensors must not change until `written()` resolves. Await `written()` before the next `save`.
   *
   * @param then called in this thread once the checkpoint has its final name; what it throws comes out of
   *   `check` or `written`
   */
  save(state: CheckpointState, tensors: CheckpointTensors, then: (path: string) => void): void;

  /** Waits for the write under way. @throws SaveError, LockLost or what `then` threw, once */
  written(): Promise<void>;

  /** Never waits. @throws SaveError, LockLost or what `then` threw, once */
  check(): void;

  /**
   * After a run that diverged: renames the checkpoints that are newer than the newest tested one to
   * `step-N.suspect`, so that resuming does not take them. That of step 0 stays.
   */
  setSuspectsAside(): void;

  /** Path of the newest checkpoint, which resuming takes; null if there is none. */
  latest(): string | null;

  /** Writes `summary.json`. @throws UserError if it cannot be written; LockLost */
  finish(summary: Summary): void;

  /** Waits for the write under way, whatever comes of it, and gives the lock back. */
  close(): Promise<void>;
}
