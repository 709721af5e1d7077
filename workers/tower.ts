/**
 * The entry of a tower worker thread: decodes the coordinator's commands and hands them to the thread's `Tower`. One
 * thread is one Piscina pool, so that the thread and its device stay together for the whole run.
 */
import { isForUser, isOutOfMemory } from '../src/errors.js';
import { decodeCommand, encodeReply } from '../src/parallel/messages.js';
import type { Command, Replies, SharedBuffers, WireMessage } from '../src/parallel/messages.js';
import { memoryRemedy } from '../src/parallel/out_of_memory.js';
import { Tower } from '../src/parallel/tower.js';

let opened: Tower | undefined;

export default async function handle(message: WireMessage): Promise<Uint8Array> {
  const command = decodeCommand(message);
  opened?.exchange.timeline?.moveTo(command.kind, 'other');
  try {
    return encodeReply(await reply(command, message.buffers));
  } catch (error) {
    if (isOutOfMemory(error)) error.message += `; ${remedyFor(command)}`;
    // An error's class does not cross to another thread, but its stack does: what the user can fix has none.
    if (isForUser(error)) (error as Error).stack = '';
    throw error;
  } finally {
    opened?.exchange.timeline?.moveTo('wait for the coordinator', 'other');
  }
}

/** The remedy for a GPU whose memory is full. */
function remedyFor(command: Command): string {
  return opened !== undefined && 'count' in command
    ? memoryRemedy(opened.network, opened.exchange.ranks, command.count)
    : 'free the GPU, or divide the towers among more';
}

async function reply(command: Command, buffers: SharedBuffers): Promise<Replies[Command['kind']]> {
  if (command.kind === 'open') {
    const { tower, reply } = await Tower.open(command, buffers);
    opened = tower;
    return reply;
  }
  if (opened === undefined) throw new Error(`${command.kind} before open`);
  switch (command.kind) {
    case 'compute':
      return command.measurePeak
        ? opened.computeMeasuringPeak(command, buffers)
        : opened.compute(command, buffers);
    case 'commit':
      return opened.commit(command);
    case 'discard':
      opened.parameters.discard();
      return null;
    case 'route':
      opened.reduction!.take(command.route);
      return null;
    case 'logits':
      return opened.logits(command, buffers);
    case 'locate':
      return opened.locate(command, buffers);
    case 'inspect':
      return opened.inspect(command, buffers);
    case 'store':
      return opened.store(buffers);
    case 'load':
      opened.load(buffers);
      return null;
    case 'gradientSquares':
      return opened.parameters.gradientSquares();
    case 'perturb':
      opened.parameters.perturb(command.parameter, command.scale);
      return null;
    case 'spans':
      return opened.exchange.timeline?.take() ?? [];
    case 'memory':
      return opened.memory();
  }
}
