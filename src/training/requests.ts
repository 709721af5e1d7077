/**
 * What is asked of a run while it goes on: to stop, by an `AbortSignal`; to save at once, by the event
 * `saveNow`; and to save from time to time, by a timer. The loop takes the requests between two actions.
 *
 * What is asked of one host is asked of all: the requests ride along with the hosts' agreements, and count from there.
 */
import type { Topic, World } from '../parallel/world.js';
import type { RunEvents } from '../runs/events.js';
import type { Asked } from './policy.js';

const NEVER = new AbortController().signal;

export class Requests implements Topic {
  /**
   * Ends every wait for data when it is aborted. With other hosts it never is, because they would be left waiting: the
   * step or test under way is finished.
   */
  readonly patience: AbortSignal;

  /** What was asked of this process since the last agreement. */
  private isSaveAsked = false;
  /** What the agreements since the last `take` have said. */
  private asked: Asked = { stop: false, save: false };
  private readonly timer: NodeJS.Timeout | undefined;
  private readonly leave: () => void;

  /**
   * @param signal asks the run to stop when it is aborted
   * @param saveEveryMs milliseconds between checkpoints by time; 0 for none
   */
  constructor(
    private readonly world: World,
    private readonly signal: AbortSignal,
    private readonly events: RunEvents,
    saveEveryMs: number,
  ) {
    this.patience = world.isAlone ? signal : NEVER;
    this.leave = world.discuss(this);
    events.on('saveNow', this.requestSave);
    // One host's clock is enough.
    if (saveEveryMs > 0 && world.isFirst) {
      this.timer = setInterval(this.requestSave, saveEveryMs).unref();
    }
  }

  own(): number[] {
    const { isSaveAsked } = this;
    this.isSaveAsked = false;
    return [Number(this.signal.aborted), Number(isSaveAsked)];
  }

  agreed([stop, save]: number[]): void {
    this.asked = { stop: stop! > 0, save: this.asked.save || save! > 0 };
  }

  /** What has been agreed on since the last call. A stop stays, a save is taken. */
  take(): Asked {
    // Alone, a process agrees with itself at any time.
    if (this.world.isAlone) this.agreed(this.own());
    const { asked } = this;
    this.asked = { ...asked, save: false };
    return asked;
  }

  /** Whether `error` is how a wait ended that a stop cut short. */
  isStop(error: unknown): boolean {
    return this.patience.aborted && error === this.patience.reason;
  }

  close(): void {
    this.leave();
    this.events.off('saveNow', this.requestSave);
    clearInterval(this.timer);
  }

  private readonly requestSave = (): void => {
    this.isSaveAsked = true;
  };
}
