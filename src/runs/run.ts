/**
 * A run folder in the hands of the one process that trains in it, from its lock to its summary.
 *
 *     const run = Run.claim('runs/demo', configuration);
 *     run.log(event);
 *     run.save(state, { model, optimizer }, (path) => console.log(path));
 *     await run.written();
 *     run.finish(summary);
 *     await run.close();
 *
 * Every verb that writes checks the lock first: once it is lost, nothing more is written.
 */
import { existsSync, rmSync, renameSync } from 'node:fs';
import type { Configuration } from '../configuration.js';
import { makeFolder, syncFolder, writeJsonDurably } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';
import { lockFolder, type FolderLock } from '../folder_lock.js';
import { checkpointEntries, checkpointPath } from './checkpoint_folder.js';
import type { CheckpointEntry } from './checkpoint_folder.js';
import {
  chooseCheckpoint,
  lastWholeCheckpoint,
  latestCheckpointPath,
  wasTested,
} from './checkpoint_reader.js';
import type { CheckpointChoice, StoredCheckpoint } from './checkpoint_reader.js';
import type { CheckpointState } from './checkpoint_state.js';
import { CheckpointThread } from './checkpoint_thread.js';
import { clearPassing, type CheckpointTensors } from './checkpoint_writer.js';
import { openRunFolder, runFolderAt, type RunFolder } from './layout.js';
import type { MetricsEvent } from './metrics.js';
import { MetricsLog } from './metrics_log.js';
import { TRAINS, makeFreeRunPath, refuseTakenRunFolder } from './run_path.js';
import { readEnd, writeLastTest, writeSummary } from './summary.js';
import type { LastTest, Summary } from './summary.js';

/** The checkpoint that a run resumes from. */
export interface ResumePoint extends StoredCheckpoint {
  /** One line for each file that could not be read and is passed over. */
  warnings: string[];
}

/** What a run can do; `RunElsewhere` does none of it. */
export type RunVerbs = Pick<Run, keyof Run>;

export class Run {
  private readonly metrics: MetricsLog;
  private readonly thread = new CheckpointThread();
  /** Paths of checkpoints that `load` found damaged. */
  private damaged: string[] = [];

  private constructor(
    readonly folder: RunFolder,
    private readonly lock: FolderLock,
  ) {
    this.metrics = new MetricsLog(folder.metricsFile);
  }

  /**
   * Creates and locks a new run folder with its `config.json`.
   *
   * @param path if omitted, the first of `runs/NAME`, `runs/NAME-2` … that is free
   * @throws UserError if the path is taken, locked or cannot be created
   */
  static claim(path: string | undefined, configuration: Configuration): Run {
    const folder = runFolderAt(path ?? makeFreeRunPath(configuration));
    makeFolder(folder.path);
    const lock = lockFolder(folder.path, TRAINS);
    try {
      refuseTakenRunFolder(folder.path);
      writeJsonDurably(folder.configurationFile, configuration);
      return new Run(folder, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /**
   * Locks an existing run folder; changes nothing else in it.
   *
   * @throws UserError if it is no run folder, or another process trains in it
   */
  static reopen(path: string): Run {
    const folder = openRunFolder(path);
    return new Run(folder, lockFolder(path, TRAINS));
  }

  /** One line about the stale lock that was taken over; undefined if there was none. */
  get takenOver(): string | undefined {
    return this.lock.takenOver;
  }

  /**
   * Finds and verifies a checkpoint to resume from; `'latest'` passes over damaged ones. Warns of a summary or
   * last test that cannot be read, as nothing more depends on them.
   *
   * @throws UserError if none is whole, or the chosen one is missing or damaged
   */
  load(choice: CheckpointChoice): ResumePoint {
    this.lock.check();
    clearPassing(this.folder);
    const { problems } = readEnd(this.folder);
    if (choice !== 'latest') {
      return { ...chooseCheckpoint(this.folder, choice), warnings: problems };
    }
    const { checkpoint, damaged } = lastWholeCheckpoint(this.folder);
    this.damaged = damaged.map(({ path }) => path);
    const { step } = checkpoint;
    const passedOver = damaged.map(
      ({ path, problem }) =>
        `${problem}; continuing from step ${step}, the last whole checkpoint (${path} is kept as ${path}.damaged)`,
    );
    return { ...checkpoint, warnings: [...problems, ...passedOver] };
  }

  /**
   * Brings the folder back to the moment of a checkpoint, to continue from there with `configuration`:
   * cuts the metrics, removes the summary and a later `test.json`, and sets later checkpoints aside, as
   * `step-N.damaged` if `load` found them so, else as `step-N.suspect`. A suspect that training continues from
   * is none any more and gets its name `step-N` back: read its files before.
   *
   * @param to null: the start, before the first step
   * @throws UserError if the folder cannot be changed; LockLost
   */
  cutBack(to: StoredCheckpoint | null, configuration: Configuration): void {
    this.lock.check();
    const { folder } = this;
    writeJsonDurably(folder.configurationFile, configuration);
    this.metrics.cut(to?.state.metricsBytes ?? 0);
    removeTestAfter(folder, to?.step ?? 0);
    rmSync(folder.summaryFile, { force: true });
    clearPassing(folder);
    this.setAside((entry) => entry.step > (to?.step ?? -1));
    if (to !== null) rename(to.path, checkpointPath(folder, to.step));
  }

  /**
   * Appends a line to `metrics.jsonl`.
   *
   * @throws UserError if it cannot be written; LockLost
   */
  log(event: MetricsEvent): void {
    this.lock.check();
    this.metrics.append(event);
  }

  /**
   * Replaces `test.json`.
   *
   * @throws UserError if it cannot be written; LockLost
   */
  keepTest(test: LastTest): void {
    this.lock.check();
    writeLastTest(this.folder, test);
  }

  /**
   * Begins to write a checkpoint in another thread and returns at once.
   *
   * The tensors, which should be in shared memory, must not change until `written()` resolves; `written()`
   * must have resolved before the next `save`.
   *
   * @param then called in this thread once the checkpoint has its final name; what it throws comes out of
   *   `check` or `written`
   * @throws LockLost
   */
  save(state: CheckpointState, tensors: CheckpointTensors, then: (path: string) => void): void {
    this.lock.check();
    const { folder, lock, metrics } = this;
    this.thread.write(
      { run: folder, lock: lock.held, state, metricsBytes: metrics.bytes, tensors },
      then,
    );
  }

  /**
   * Waits for the write under way.
   *
   * @throws SaveError, LockLost or what `then` threw, once
   */
  written(): Promise<void> {
    return this.thread.written();
  }

  /**
   * Says whether what was written is well, without waiting.
   *
   * @throws SaveError or what `then` threw, once; LockLost
   */
  check(): void {
    this.lock.check();
    this.thread.check();
  }

  /**
   * After a run that diverged: renames the checkpoints that are newer than the newest tested one to
   * `step-N.suspect`, so that resuming does not take them. The initial parameters, step 0, are no suspects.
   * Await `written()` before.
   *
   * @throws UserError if one cannot be renamed; LockLost
   */
  setSuspectsAside(): void {
    this.lock.check();
    const tested = checkpointEntries(this.folder).findLast(
      ({ kind, path }) => kind === 'whole' && wasTested(path),
    );
    this.setAside(({ step }) => step > (tested?.step ?? 0));
  }

  /** Path of the checkpoint that resuming takes, unverified; null if there is none. */
  latest(): string | null {
    return latestCheckpointPath(this.folder) ?? null;
  }

  /** Where training can continue after a failure, to be said behind it. */
  remedy(): string {
    const { path } = this.folder;
    if (!existsSync(path)) return `; the run folder ${path} is gone: start a new run`;
    const checkpoint = this.latest();
    return checkpoint === null
      ? `; ${path} has no checkpoint to continue from: start a new run`
      : `; the last checkpoint is ${checkpoint}: continue with --resume ${path}`;
  }

  /**
   * Writes `summary.json`.
   *
   * @throws UserError if it cannot be written; LockLost
   */
  finish(summary: Summary): void {
    this.lock.check();
    writeSummary(this.folder, summary);
  }

  /** Waits for the write under way, whatever comes of it, and gives the lock back. */
  async close(): Promise<void> {
    await this.thread.close();
    this.lock.release();
  }

  private setAside(isAside: (entry: CheckpointEntry) => boolean): void {
    const { folder, damaged } = this;
    const entries = checkpointEntries(folder).filter(
      (entry) => entry.kind === 'whole' && isAside(entry),
    );
    for (const { step, path } of entries) {
      const mark = damaged.includes(path) ? 'damaged' : 'suspect';
      rename(path, checkpointPath(folder, step, mark));
    }
    if (entries.length > 0) syncFolder(folder.checkpoints);
  }
}

/** Replaces what has that name already. */
function rename(path: string, name: string): void {
  if (path === name) return;
  try {
    rmSync(name, { recursive: true, force: true });
    renameSync(path, name);
  } catch (error) {
    throw new UserError(`cannot rename ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Removes a `test.json` of a later step, or one that cannot be read: the run makes the test again. */
function removeTestAfter(folder: RunFolder, step: number): void {
  const { lastTest } = readEnd(folder);
  if (lastTest === null || lastTest.step > step) rmSync(folder.testFile, { force: true });
}
