/** The failure of a worker thread, as the coordinator reports it. */
import { UserError } from '../errors.js';

/**
 * A worker threw, ended or does not answer: its ranks' parameters are lost, and training can go on only
 * from a checkpoint, with workers that are started again. The message names rank, device, step and what
 * the worker was doing.
 */
export class WorkerFailure extends UserError {
  /** @param defect the stack of what the worker threw; undefined where it ended or hangs */
  constructor(
    message: string,
    readonly defect: string | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
