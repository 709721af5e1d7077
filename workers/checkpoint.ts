/** The thread that writes checkpoints: takes `WriteRequest`s, one after another, and answers `WriteReply`s. */
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../src/errors.js';
import { LockLost } from '../src/folder_lock.js';
import { SaveError, writeCheckpoint } from '../src/runs/checkpoint_writer.js';
import type { WriteRequest } from '../src/runs/checkpoint_writer.js';
import type { WriteReply } from '../src/runs/checkpoint_thread.js';

function replyTo(request: WriteRequest): WriteReply {
  try {
    return { path: writeCheckpoint(request) };
  } catch (error) {
    if (error instanceof SaveError) return { failure: error.message, kind: 'save' };
    if (error instanceof LockLost) return { failure: error.message, kind: 'lock' };
    return { failure: messageOf(error), kind: 'defect' };
  }
}

parentPort!.on('message', (request: WriteRequest) => parentPort!.postMessage(replyTo(request)));
