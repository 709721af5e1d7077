/**
 * What is asked of a run while it goes on: to stop, by an `AbortSignal`; to save at once, by the event
 * `saveNow`; and to save from time to time, by a timer. The loop takes the requests between two actions.
 */
import type { RunEvents } from '../runs/events.js';
import type { Asked } from './policy.js';

export class Requests {
  private save = false;
  private readonly timer: NodeJS.Timeout | undefined;

  /**
   * @param patience ends every wait for data when it is aborted, and asks the run to stop
   * @param saveEveryMs milliseconds between checkpoints by time; 0 for none
   */
  constructor(
    readonly patience: AbortSignal,
    private readonly events: RunEvents,
    saveEveryMs: number,
  ) {
    events.on('saveNow', this.requestSave);
    if (saveEveryMs > 0) this.timer = setInterval(this.requestSave, saveEveryMs).unref();
  }

  /** The requests since the last call. A stop stays, a save is taken. */
  take(): Asked {
    const { save } = this;
    this.save = false;
    return { stop: this.patience.aborted, save };
  }

  /** Whether `error` is how a wait ended that a stop cut short. */
  isStop(error: unknown): boolean {
    return this.patience.aborted && error === this.patience.reason;
  }

  close(): void {
    this.events.off('saveNow', this.requestSave);
    clearInterval(this.timer);
  }

  private readonly requestSave = (): void => {
    this.save = true;
  };
}
