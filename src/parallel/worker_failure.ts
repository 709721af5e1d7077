/** The failure of a worker thread, as the coordinator reports it. */
import { UserError } from '../errors.js';

/**
 * A worker threw, ended or does not answer. Its ranks' parameters are lost, so training can continue only from a
 * checkpoint, with new workers. The message names rank, device, step and what the worker was doing.
 */
export class WorkerFailure extends UserError {
  /** @param defect the stack of what the worker threw; undefined if it ended or hangs */
  constructor(
    message: string,
    readonly defect: string | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
