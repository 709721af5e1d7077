/** The end of a run: its summary, and the failure that it throws with the remedy. */
import { UserError, messageOf } from '../errors.js';
import { WorkerFailure } from '../parallel/worker_failure.js';
import { ProcessLost } from '../parallel/world.js';
import type { RunEvents } from '../runs/events.js';
import type { RunVerbs } from '../runs/run.js';
import type { Summary } from '../runs/summary.js';
import type { LoopState, Status } from '../training/policy.js';

/** A run whose loop has ended, and what its summary says beside the loop's state. */
export interface EndedRun {
  run: RunVerbs;
  status: Status;
  state: LoopState;
  facts: Omit<Summary, 'status' | 'error' | 'epochs' | 'steps' | 'skipped' | 'test'>;
}

/**
 * Writes `summary.json`.
 *
 * @throws what the run failed of, with where training can continue
 */
export function endRun({ run, status, state, facts }: EndedRun, events: RunEvents): Summary {
  const { progress, finalTest, trouble } = state;
  const { epoch: epochs, step: steps, skipped } = progress;
  const tested = finalTest ?? progress.lastTest;
  const test = tested && { loss: tested.loss, top1: tested.top1, top5: tested.top5 };
  let failure = trouble === null ? null : { error: trouble.error };
  const write = (error: string | undefined): Summary => {
    const summary: Summary = {
      status,
      ...(error !== undefined && { error }),
      epochs,
      steps,
      skipped,
      test,
      ...facts,
    };
    run.finish(summary);
    events.emit('end', summary);
    return summary;
  };
  try {
    if (trouble?.leaves === 'suspect') run.setSuspectsAside();
    if (failure === null) return write(undefined);
    write(messageOf(withRemedy(run, failure.error)));
  } catch (error) {
    // The first failure is the one to report; a full disk may well cause both.
    failure ??= { error };
  }
  throw withRemedy(run, failure.error);
}

/** The failure with where training can continue, of the same kind. */
function withRemedy(run: RunVerbs, error: unknown): Error {
  const message = `${messageOf(error)}${run.remedy()}`;
  if (error instanceof WorkerFailure) {
    return new WorkerFailure(message, error.defect, { cause: error });
  }
  if (error instanceof ProcessLost) return new ProcessLost(message, { cause: error });
  if (error instanceof UserError) return new UserError(message, { cause: error });
  return new Error(message, { cause: error });
}
