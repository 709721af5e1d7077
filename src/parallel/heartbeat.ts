/**
 * Tells the processes of a world apart that live from those that do not: each sends all others a message several times
 * a second, from its main thread. MPI itself does not notice a process that is stopped, nor a link that is cut.
 *
 * The last message of a process says how it ends, and why if it fails, so that the others end too.
 */
import { UserError } from '../errors.js';
import type { ProcessGroup, Ticket } from './process_group.js';

/** Milliseconds between two messages. */
const INTERVAL_MS = 200;

/** Bytes of a message: its kind, then text in UTF-8 up to a zero. */
const MESSAGE_BYTES = 2048;

const KINDS = ['alive', 'done', 'failed', 'followed'] as const;

/**
 * How a process ends: it is `done`, it has `failed`, or it has `followed` another one that was lost.
 */
export type Ending = Exclude<(typeof KINDS)[number], 'alive'>;

/** Another process of the world has failed, or is not heard of any more. Nothing can be agreed on from then on. */
export class ProcessLost extends UserError {}

interface Peer {
  rank: number;
  incoming: Uint8Array;
  receiving: Ticket;
  sending: Ticket | null;
  /** Milliseconds since it was heard of. */
  silentMs: number;
  ending: Ending | null;
}

export class Heartbeat {
  private readonly controller = new AbortController();
  private readonly peers: Peer[];
  private readonly timer: NodeJS.Timeout;
  private last = performance.now();
  private message = messageOf('alive');

  /**
   * @param group used for nothing else
   * @param hosts name of each process
   * @param limitMs silence after which a process counts as lost, milliseconds
   */
  constructor(
    private readonly group: ProcessGroup,
    private readonly hosts: string[],
    private limitMs: number,
  ) {
    const others = hosts.map((_, rank) => rank).filter((rank) => rank !== group.rank);
    this.peers = others.map((rank) => {
      const incoming = new Uint8Array(MESSAGE_BYTES);
      const receiving = group.receive(incoming, rank);
      return { rank, incoming, receiving, sending: null, silentMs: 0, ending: null };
    });
    this.timer = setInterval(() => this.beat(), INTERVAL_MS).unref();
  }

  /** Aborted with a `ProcessLost` when one is. */
  get lost(): AbortSignal {
    return this.controller.signal;
  }

  /** From now on a process that is silent for so long is lost. */
  expectWithin(limitMs: number): void {
    this.limitMs = Math.min(this.limitMs, limitMs);
  }

  /**
   * Sends the last message, and waits for that of each other process which is not lost.
   *
   * @param why of a failure, one line
   * @returns how the others end; null for those that have not said it in time
   */
  async end(ending: Ending, why: string, limitMs: number): Promise<(Ending | null)[]> {
    this.message = messageOf(ending, why);
    // Sent even where the message before has not gone out yet.
    for (const peer of this.peers) peer.sending = this.group.send(this.message, peer.rank);
    const until = performance.now() + limitMs;
    const isWaitedFor = ({ ending: theirs, sending, silentMs }: Peer): boolean =>
      (theirs === null || sending !== null) && silentMs < this.limitMs;
    while (this.peers.some(isWaitedFor) && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      this.exchange();
    }
    clearInterval(this.timer);
    return this.peers.map(({ ending: theirs }) => theirs);
  }

  private beat(): void {
    const now = performance.now();
    // While this process is stopped, as by Ctrl-Z, time passes for which nobody is to blame.
    const elapsedMs = Math.min(now - this.last, 2 * INTERVAL_MS);
    this.last = now;
    for (const peer of this.peers) peer.silentMs += elapsedMs;
    this.exchange();
    for (const peer of this.peers) {
      if (peer.sending === null && this.message[0] === 0) {
        peer.sending = this.group.send(this.message, peer.rank);
      }
    }
    const silent = this.peers.filter(
      ({ ending, silentMs }) => ending === null && silentMs >= this.limitMs,
    );
    if (silent.length === 0) return;
    const names = silent.map(({ rank }) => this.hosts[rank]!);
    const seconds = this.limitMs / 1000;
    this.lose(
      `${this.hosts[this.group.rank]!} has not heard of ${names.join(', ')} for ${seconds} s: it is stopped, has ended, or the network between them is down`,
    );
  }

  /** Takes what has come, and gives up the tickets of what has gone. */
  private exchange(): void {
    for (const peer of this.peers) {
      if (peer.sending !== null && this.group.wait(peer.sending, 0)) peer.sending = null;
      while (peer.ending === null && this.group.wait(peer.receiving, 0)) {
        peer.silentMs = 0;
        const kind = KINDS[peer.incoming[0]!]!;
        if (kind === 'alive') peer.receiving = this.group.receive(peer.incoming, peer.rank);
        else peer.ending = kind;
        if (kind === 'failed') this.lose(`${this.hosts[peer.rank]!}: ${textOf(peer.incoming)}`);
      }
    }
  }

  private lose(why: string): void {
    if (!this.lost.aborted) this.controller.abort(new ProcessLost(why));
  }
}

function messageOf(kind: (typeof KINDS)[number], text = ''): Uint8Array {
  const message = new Uint8Array(MESSAGE_BYTES);
  message[0] = KINDS.indexOf(kind);
  // The last byte stays zero.
  new TextEncoder().encodeInto(text, message.subarray(1, -1));
  return message;
}

function textOf(message: Uint8Array): string {
  return new TextDecoder().decode(message.subarray(1, message.indexOf(0, 1)));
}
