/** The thread that writes checkpoints, as the main thread sees it: one write at a time, while training goes on. */
import { Worker } from 'node:worker_threads';
import { LockLost } from '../folder_lock.js';
import { SaveError } from './checkpoint_writer.js';
import type { WriteRequest } from './checkpoint_writer.js';

/** What the thread answers to a request. Errors lose their class between threads. */
export type WriteReply = { path: string } | { failure: string; kind: 'save' | 'lock' | 'defect' };

export class CheckpointThread {
  /** Started by the first write. */
  private worker: Worker | undefined;
  /** Takes the answer to the request under way. */
  private answer: ((reply: WriteReply) => void) | undefined;
  /** Resolved when the write under way has ended, however it did. */
  private ended: Promise<void> = Promise.resolve();
  /** Why the last write failed, until it is thrown. */
  private failure: unknown;

  /**
   * Begins to write; the tensors must not change until `written()` resolves.
   *
   * @param then called here once the checkpoint has its final name
   */
  write(request: WriteRequest, then: (path: string) => void): void {
    if (this.answer !== undefined) throw new Error('a checkpoint is still being written');
    const worker = (this.worker ??= this.start());
    const reply = new Promise<WriteReply>((resolve) => (this.answer = resolve));
    worker.ref();
    worker.postMessage(request);
    this.ended = reply
      .finally(() => {
        this.answer = undefined;
        // A thread without work does not keep the process.
        worker.unref();
      })
      .then((reply) => {
        if ('failure' in reply) throw errorOf(reply);
        then(reply.path);
      })
      .catch((error: unknown) => {
        this.failure = error;
      });
  }

  /** Waits for the write under way. @throws why it failed, once */
  async written(): Promise<void> {
    await this.ended;
    this.check();
  }

  /** @throws why the last write failed, once */
  check(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure as Error;
  }

  /** Waits for the write under way, whatever comes of it, and ends the thread. */
  async close(): Promise<void> {
    await this.ended;
    await this.worker?.terminate();
  }

  private start(): Worker {
    const worker = new Worker(new URL('../../workers/checkpoint.js', import.meta.url));
    const end = (reason: string): void => {
      this.worker = undefined;
      const failure = `cannot write the checkpoint: its thread has ended (${reason})`;
      this.answer?.({ failure, kind: 'save' });
    };
    worker.on('message', (reply: WriteReply) => this.answer?.(reply));
    worker.on('error', ({ message }) => end(message));
    worker.on('exit', (code) => end(`code ${code}`));
    return worker;
  }
}

function errorOf({ failure, kind }: Extract<WriteReply, { failure: string }>): Error {
  if (kind === 'save') return new SaveError(failure);
  return kind === 'lock' ? new LockLost(failure) : new Error(failure);
}
