/** Which process this is, or another one was, as far as a file can tell: for locks that outlive their holder. */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** A process, told apart from others with the same number on other hosts, in other containers or later. */
export interface Identity {
  pid: number;
  host: string;
  /** Linux's random number of this boot; null elsewhere. */
  boot: string | null;
  /** Such as `pid:[4026531836]`: containers have their own; null except on Linux. */
  pidNamespace: string | null;
  /** Clock ticks from the boot to the process's start; null except on Linux. */
  started: string | null;
}

/** Of a process in this process's PID namespace. */
export function identityOf(pid: number): Identity {
  return {
    pid,
    host: hostname(),
    boot: textOf('/proc/sys/kernel/random/boot_id')?.trim() ?? null,
    pidNamespace: pidNamespace(),
    started: statusOf(pid)?.started ?? null,
  };
}

function pidNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return null;
  }
}

/** Whether a process of the one can be looked up by the other. */
export function isSameMachine(one: Identity, other: Identity): boolean {
  return (
    one.host === other.host && one.boot === other.boot && one.pidNamespace === other.pidNamespace
  );
}

export function isSame(one: Identity, other: Identity): boolean {
  return isSameMachine(one, other) && one.pid === other.pid && one.started === other.started;
}

/** @param holder a process of this machine */
export function isRunning({ pid, started }: Identity): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, as another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const status = statusOf(pid);
  // Other systems do not tell, nor does Linux of other users' processes if it is told to hide them.
  if (status === undefined) return true;
  return status.state !== 'Z' && status.started === started;
}

/**
 * State (`Z`: ended, but not collected by its parent) and start of a process: fields 3 and 22 of
 * /proc/PID/stat. Field 2, the program's name, may contain spaces and brackets.
 */
function statusOf(pid: number): { state: string; started: string } | undefined {
  const fields = textOf(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, '')
    .split(' ');
  return fields && { state: fields[0]!, started: fields[19]! };
}

/** Undefined if it cannot be read: on other systems, and of a process that has ended. */
function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
