/**
 * Training as a function: `train` of the package, and all that the command of that name does. The
 * command parses and prints.
 */
import { basename } from 'node:path';
import { batchesPerEpoch } from '../data/batches.js';
import { aThreadLasts } from '../backend/process_end.js';
import { UserError } from '../errors.js';
import { refuseImpossibleCrops } from '../data/views.js';
import { WorkerFailure } from '../parallel/worker_failure.js';
import { TraceFile } from '../report/trace.js';
import { loadParameters } from '../runs/tensors.js';
import {
  checkpointFiles,
  initialState,
  lastWholeCheckpoint,
  latestCheckpoint,
  setAside,
} from '../runs/checkpoint.js';
import type { TrainerState } from '../runs/checkpoint.js';
import { RunEvents } from '../runs/events.js';
import {
  claimRunFolder,
  freeRunPath,
  refuseTakenRunFolder,
  reopenRunFolder,
} from '../runs/run_folder.js';
import { openRunFolder } from '../runs/layout.js';
import type { RunFolder } from '../runs/layout.js';
import type { Summary } from '../runs/summary.js';
import { lockRun } from '../folder_lock.js';
import type { RunLock } from '../folder_lock.js';
import { keepStatistics, statisticsFor } from '../runs/statistics.js';
import { withTowers } from '../training/session.js';
import { TensorboardLog } from '../runs/tensorboard.js';
import { train as trainTowers } from '../training/trainer.js';
import { prepare } from './preparation.js';
import { changesOnResuming, damageWarnings, positionAgain, runToResume } from './resume.js';
import type { TrainOptions } from './train_options.js';

/** `summary.json`, and the run folder that it lies in. */
export interface TrainedRun extends Summary {
  path: string;
}

/**
 * Trains until the epochs or steps are done, or `signal` is aborted.
 *
 * @throws UserError for what the caller can mend, such as a folder that is taken; nothing is written then.
 *   A failure of the run itself is also in its `summary.json`
 */
export async function train(options: TrainOptions): Promise<TrainedRun> {
  // Before its checkpoints are read, which another process may be about to replace.
  const lock =
    options.resume === undefined ? undefined : lockRun(openRunFolder(options.resume).path);
  try {
    return await trainAlone(options, lock?.takenOver);
  } finally {
    lock?.release();
  }
}

/** @param takenOver the warning of a stale lock */
async function trainAlone(
  options: TrainOptions,
  takenOver: string | undefined,
): Promise<TrainedRun> {
  const { events = new RunEvents(), signal = new AbortController().signal } = options;
  for (const name of ['testLimit', 'checkpointEvery'] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isInteger(value) && value >= 1)) {
      throw new UserError(`${name} must be a whole number, at least 1; it is ${value}`);
    }
  }
  const resumed = options.resume === undefined ? undefined : runToResume(options.resume, options);
  const precision = options.precision ?? resumed?.state.precision;
  const { configuration, dataset, resolved } = await prepare(
    { ...options, precision },
    resumed?.configuration,
  );
  // A batch that is too large is refused before anything is opened.
  batchesPerEpoch(dataset.train.count, configuration.training.batch);
  const state = resumed ? positionAgain(resumed, dataset.train.count) : initialState(configuration);
  if (options.out !== undefined) refuseTakenRunFolder(options.out);
  refuseImpossibleCrops(configuration.test.crops, configuration.data.view);
  const warnings = [
    ...(takenOver === undefined ? [] : [takenOver]),
    ...resolved.warnings,
    ...damageWarnings(resumed),
  ];
  warnings.forEach((warning) => events.emit('warning', warning));

  const { exchangeTimeoutMs } = options;
  const statistics = await statisticsFor(configuration, dataset, resumed?.run.path, events);
  const traceFile = options.trace === undefined ? undefined : new TraceFile(options.trace);
  const name = resumed?.run.path ?? options.out ?? freeRunPath(configuration);
  const trace = traceFile?.group(basename(name));
  const session = { configuration, dataset, statistics, exchangeTimeoutMs, trace, ...resolved };
  let run = resumed?.run;
  let lock: RunLock | undefined;
  const attempt = (from: Position, restarts: number, mayRestart: boolean): Promise<Summary> =>
    withTowers(session, async (towers, ring) => {
      if (from.model !== undefined) await loadParameters(towers, from.model, from.optimizer);
      if (run === undefined) {
        ({ run, lock } = claimRunFolder(options.out, configuration));
      } else {
        if (resumed !== undefined && restarts === 0) setAside(run, resumed.damaged);
        reopenRunFolder(run, configuration, from.state);
      }
      const folder = run;
      keepStatistics(folder.path, statistics);
      return closedAfter(new TensorboardLog(events), () =>
        trainTowers({
          ...{
            configuration,
            dataset,
            coordinator: towers,
            ring,
            run: folder,
            state: from.state,
            precision: resolved.precision,
            changes: resumed === undefined ? [] : changesOnResuming(resumed, resolved),
            warnings,
          },
          checkpointEvery: options.checkpointEvery ?? null,
          testLimit: options.testLimit,
          skipNonfinite: options.skipNonfinite ?? 0,
          ...{ restarts, mayRestart, stop: signal, events },
        }),
      );
    });

  try {
    const from = { ...(resumed?.files ?? { model: options.init }), state };
    const summary = await restarting(attempt, from, options.restarts ?? 0, {
      positionNow: () =>
        run === undefined || latestCheckpoint(run) === undefined ? null : positionOf(run),
      announce: (warning) => {
        warnings.push(warning);
        events.emit('warning', warning);
      },
    });
    return { ...summary, path: run!.path };
  } finally {
    lock?.release();
    traceFile?.close();
  }
}

/**
 * Starts the workers again where one fails, from where the run is then.
 *
 * @param allowed how often
 * @param positionNow null where there is no checkpoint yet
 */
async function restarting(
  attempt: (from: Position, restarts: number, mayRestart: boolean) => Promise<Summary>,
  from: Position,
  allowed: number,
  run: { positionNow: () => Position | null; announce: (warning: string) => void },
): Promise<Summary> {
  for (let restarts = 0; ; restarts++) {
    try {
      return await attempt(from, restarts, restarts < allowed);
    } catch (error) {
      if (!(error instanceof WorkerFailure) || restarts >= allowed) throw error;
      if (aThreadLasts()) {
        throw new UserError(
          `${error.message}; its thread cannot be ended, so that no others start in this process: go on with --resume`,
          { cause: error },
        );
      }
      const last = run.positionNow();
      // What it began from may count in batches of another size.
      const isLater = last?.state.step !== from.state.step || last.state.epoch !== from.state.epoch;
      if (last !== null && isLater) from = last;
      run.announce(
        `${error.message}; the workers start again from step ${from.state.step}, restart ${restarts + 1} of at most ${allowed}`,
      );
    }
  }
}

/** Closes `log` however `work` ends; of two failures the work's is the one to report. */
async function closedAfter<Result>(
  log: TensorboardLog,
  work: () => Promise<Result>,
): Promise<Result> {
  let result: Result;
  try {
    result = await work();
  } catch (error) {
    await log.close().catch(() => {});
    throw error;
  }
  await log.close();
  return result;
}

/** Where the workers start. */
interface Position {
  state: TrainerState;
  /** Safetensors file of the parameters; undefined: drawn from the seed. */
  model: string | undefined;
  /** Of their velocities; undefined: zero. */
  optimizer?: string;
}

/** That of the last whole checkpoint. */
function positionOf(run: RunFolder): Position {
  const { path, state } = lastWholeCheckpoint(run);
  const { model, optimizer } = checkpointFiles(path);
  return { state, model, optimizer };
}
