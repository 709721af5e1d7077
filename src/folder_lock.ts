/**
 * One process at a time trains in a run folder: `runs/NAME/lock` names it, as JSON. Taken and given back
 * by the library's `train`; whatever only reads a run needs no lock.
 *
 * The lock of a process that was killed stays behind. It is stale where no process has that number, or
 * one that started at another time; on another host that cannot be known, so the lock is honoured.
 */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { UserError, messageOf } from './errors.js';

/** A process, told apart from a later one with the same number. */
interface Holder {
  pid: number;
  host: string;
  /** Clock ticks after the host's start, as Linux counts them; null elsewhere. */
  started: string | null;
}

export interface RunLock {
  /** What was found in the way and put aside, one line; undefined where nothing was. */
  takenOver: string | undefined;
  release: () => void;
}

/** An empty lock younger than this is being written by its holder at this moment. */
const WRITING_MS = 10_000;

/**
 * Takes the lock of an existing run folder.
 *
 * @throws UserError naming the process that trains there, or where the lock cannot be written
 */
export function lockRun(path: string): RunLock {
  const file = join(path, 'lock');
  const own = JSON.stringify(identityOf(process.pid));
  let takenOver: string | undefined;
  while (!createdWith(file, own)) takenOver = putAsideIfStale(path, file) ?? takenOver;
  return {
    takenOver,
    release: () => {
      if (textOf(file) === own) rmSync(file, { force: true });
    },
  };
}

/** @throws UserError naming the other process that trains in that folder, if one does */
export function refuseLocked(path: string): void {
  const file = join(path, 'lock');
  const text = textOf(file);
  if (text === undefined || text === JSON.stringify(identityOf(process.pid))) return;
  refuseAlive(path, file, text);
}

/** False where a lock is there already. */
function createdWith(file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    rmSync(file, { force: true });
    throw new UserError(`cannot write ${file}: ${messageOf(error)}`, { cause: error });
  }
}

/** @returns what it was; undefined where it has gone by itself */
function putAsideIfStale(path: string, file: string): string | undefined {
  const text = textOf(file);
  if (text === undefined) return undefined;
  const was = refuseAlive(path, file, text);
  // A rename, so that of two processes that find the same stale lock only one removes it.
  const aside = `${file}.stale-${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UserError(`cannot remove ${file}: ${messageOf(error)}`, { cause: error });
  }
  if (textOf(aside) !== text) {
    // The other process was faster, and this is its lock.
    renameSync(aside, file);
    return undefined;
  }
  rmSync(aside, { force: true });
  return was;
}

/** @returns what a stale lock says, for a person */
function refuseAlive(path: string, file: string, text: string): string {
  const holder = parse(text);
  if (holder === undefined) {
    const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (text !== '' || age > WRITING_MS) return `${file} was no lock of this program`;
    throw new UserError(`another process begins to train in ${path}: wait for it to end`);
  }
  const { pid, host, started } = holder;
  if (host !== hostname()) {
    throw new UserError(
      `process ${pid} on ${host} trains in ${path}: wait for it to end; if it has, remove ${file}`,
    );
  }
  if (identityOf(pid)?.started === started) {
    throw new UserError(`process ${pid} trains in ${path}: wait for it to end, or stop it`);
  }
  return `process ${pid}, which trained in ${path}, has ended without giving back its lock`;
}

function parse(text: string): Holder | undefined {
  try {
    const { pid, host, started } = JSON.parse(text) as Record<string, unknown>;
    const isValid =
      Number.isSafeInteger(pid) &&
      Number(pid) > 0 &&
      typeof host === 'string' &&
      (started === null || typeof started === 'string');
    return isValid ? ({ pid, host, started } as Holder) : undefined;
  } catch {
    return undefined;
  }
}

/** Of a process of this host; undefined where there is none. */
function identityOf(pid: number): Holder | undefined {
  if (!isRunning(pid)) return undefined;
  return { pid, host: hostname(), started: startOf(pid) };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there, another user's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Field 22 of /proc/PID/stat; the second, the program's name, may hold spaces and brackets. */
function startOf(pid: number): string | null {
  const fields = textOf(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, '')
    .split(' ');
  return fields?.[19] ?? null;
}

/** Undefined where the file is not there. */
function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    // ESRCH: a process that ended while its entry in /proc was read.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code!)) return undefined;
    throw new UserError(`cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}
