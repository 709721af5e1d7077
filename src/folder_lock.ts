/**
 * The lock of a folder in which one process at a time may work: a file `lock` that names its holder, as JSON.
 *
 * The holder touches the file every 10 seconds. A process of the same host, boot and PID namespace can be
 * looked up, so its lock is stale as soon as it has ended, and honoured as long as it runs. The lock of a
 * process elsewhere is stale after 60 seconds without a heartbeat, by the clock of the folder's file system.
 * A stale lock is taken over with a warning; a holder that finds its lock taken must not write any more.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { UserError, messageOf } from './errors.js';
import { identityOf, isRunning, isSame, isSameMachine } from './process_identity.js';
import type { Identity } from './process_identity.js';

/** Milliseconds between heartbeats. */
const HEARTBEAT_MS = 10_000;

/** Milliseconds without a heartbeat after which the lock of a process elsewhere is stale. */
const STALE_MS = 60_000;

/** What a lock file says. */
interface Holder extends Identity {
  /** Random: tells this lock from any other one of the same process. */
  token: string;
}

/** A lock as another thread of its holder may check it. */
export interface HeldLock {
  folder: string;
  /** What the lock file says while it is ours. */
  text: string;
}

/** Another process has taken the lock, or the lock was deleted: nothing more may be written. */
export class LockLost extends UserError {}

/** A lock that this process holds. */
export class FolderLock {
  private readonly timer = setInterval(() => this.beat(), HEARTBEAT_MS).unref();
  private checkedAt = Date.now();
  private loss: LockLost | undefined;

  /**
   * @param held checks the lock from another thread, by `refuseLost`
   * @param takenOver one line about the stale lock that was in the way; undefined if there was none
   */
  constructor(
    readonly held: HeldLock,
    readonly takenOver: string | undefined,
  ) {}

  /**
   * Checks that the lock is still ours. Reads the file only if the last heartbeat is overdue.
   *
   * @throws LockLost
   */
  check(): void {
    if (Date.now() - this.checkedAt > HEARTBEAT_MS) this.beat();
    if (this.loss !== undefined) throw this.loss;
  }

  /** Removes the lock unless it is another process's by now. */
  release(): void {
    clearInterval(this.timer);
    const file = fileIn(this.held.folder);
    if (textOf(file) === this.held.text) rmSync(file, { force: true });
  }

  private beat(): void {
    try {
      touch(this.held);
      this.checkedAt = Date.now();
    } catch (error) {
      // Any other failure, such as a network drive that is away for a moment, may be over at the next beat.
      if (!(error instanceof LockLost)) return;
      this.loss ??= error;
      clearInterval(this.timer);
    }
  }
}

/**
 * Takes the lock of an existing folder.
 *
 * @param doing completes "process 12 … FOLDER" in messages, such as `trains in` or `prepares`
 * @throws UserError naming the process that holds it, or if the lock cannot be written
 */
export function lockFolder(folder: string, doing: string): FolderLock {
  const holder: Holder = { token: randomBytes(16).toString('hex'), ...identityOf(process.pid) };
  const text = JSON.stringify(holder);
  const file = fileIn(folder);
  let takenOver: string | undefined;
  while (!createdWith(file, text)) {
    takenOver = removedIfStale(folder, doing, holder.token) ?? takenOver;
  }
  return new FolderLock({ folder, text }, takenOver);
}

/** @throws UserError naming the other process that holds the folder's lock, if one does */
export function refuseLocked(folder: string, doing: string): void {
  const seen = seenIn(fileIn(folder));
  if (seen === undefined) return;
  const holder = parse(seen.text);
  if (holder !== undefined && isSame(holder, identityOf(process.pid))) return;
  refuseUnlessStale(folder, seen, doing);
}

/** Whether a process holds the folder's lock, this one included. */
export function isLocked(folder: string): boolean {
  const seen = seenIn(fileIn(folder));
  if (seen === undefined) return false;
  try {
    refuseUnlessStale(folder, seen, 'works in');
    return false;
  } catch (error) {
    if (error instanceof UserError) return true;
    throw error;
  }
}

/** Whether a folder's entry belongs to its lock: the lock itself, or what a kill left of taking it over. */
export function isLockFile(name: string): boolean {
  return name === 'lock' || name.startsWith('lock.');
}

/** @throws LockLost if the lock is another process's by now, or is gone */
export function refuseLost({ folder, text }: HeldLock): void {
  const actual = textOf(fileIn(folder));
  if (actual !== text) throw lossOf(folder, actual);
}

/**
 * Renews the lock's time of change by writing the same text again: only a write takes the file system's
 * clock.
 *
 * @throws LockLost
 */
function touch({ folder, text }: HeldLock): void {
  let descriptor: number;
  try {
    descriptor = openSync(fileIn(folder), 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw lossOf(folder, undefined);
    throw error;
  }
  try {
    // If another process renames the file now, the write goes to the renamed one and does no harm.
    const actual = readFileSync(descriptor, 'utf8');
    if (actual !== text) throw lossOf(folder, actual);
    writeSync(descriptor, text, 0);
  } finally {
    closeSync(descriptor);
  }
}

function lossOf(folder: string, actual: string | undefined): LockLost {
  if (!existsSync(folder)) {
    return new LockLost(`the folder ${folder} is gone: it was deleted or moved meanwhile`);
  }
  if (actual === undefined) {
    return new LockLost(`the lock of ${folder} was deleted: nothing more is written to it`);
  }
  const holder = parse(actual);
  const whose = holder === undefined ? 'another process' : nameOf(holder);
  return new LockLost(
    `${whose} has taken over ${folder}, because this process was suspended for over ${STALE_MS / 1000} s: nothing more is written to it`,
  );
}

function fileIn(folder: string): string {
  return join(folder, 'lock');
}

/** @returns false if there is a lock already */
function createdWith(file: string, text: string): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new UserError(`cannot write ${file}: ${messageOf(error)}`, { cause: error });
  }
  try {
    writeSync(descriptor, text);
    return true;
  } catch (error) {
    rmSync(file, { force: true });
    throw new UserError(`cannot write ${file}: ${messageOf(error)}`, { cause: error });
  } finally {
    closeSync(descriptor);
  }
}

/** A lock file's text and time of change, milliseconds by the file system's clock. */
interface SeenLock {
  text: string;
  mtimeMs: number;
}

/**
 * @returns what the stale lock was, one line; undefined if it went by itself
 * @throws UserError if it is not stale
 */
function removedIfStale(folder: string, doing: string, token: string): string | undefined {
  const file = fileIn(folder);
  const seen = seenIn(file);
  if (seen === undefined) return undefined;
  const was = refuseUnlessStale(folder, seen, doing);
  // Of two processes that find the same stale lock, only one can rename it.
  const aside = `${file}.stale-${token}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UserError(`cannot remove ${file}: ${messageOf(error)}`, { cause: error });
  }
  const renamed = seenIn(aside);
  rmSync(aside, { force: true });
  const isStill = renamed?.text === seen.text && renamed.mtimeMs === seen.mtimeMs;
  if (isStill || renamed === undefined) return was;
  // The other process was faster, and this is its lock; or the holder has just woken up.
  createdWith(file, renamed.text);
  return undefined;
}

/**
 * @returns what the stale lock was, one line
 * @throws UserError if the lock is not stale
 */
function refuseUnlessStale(folder: string, { text, mtimeMs }: SeenLock, doing: string): string {
  const holder = parse(text);
  const own = identityOf(process.pid);
  if (holder !== undefined && isSameMachine(holder, own)) {
    if (!isRunning(holder)) {
      return `process ${holder.pid} held the lock of ${folder} and has ended without releasing it`;
    }
    throw new UserError(
      `process ${holder.pid} ${doing} ${folder}: wait for it to finish, or stop it`,
    );
  }
  const name = holder === undefined ? 'another process' : nameOf(holder);
  const age = clockOf(folder) - mtimeMs;
  if (age > STALE_MS) {
    return `${name} held the lock of ${folder}, without a heartbeat for ${seconds(age)}: it is taken over`;
  }
  throw new UserError(
    `${name} ${doing} ${folder}: wait for it to finish; if it was stopped, try again in ${seconds(STALE_MS - age)}`,
  );
}

function seconds(milliseconds: number): string {
  return `${Math.ceil(milliseconds / 1000)} s`;
}

/** Such as `process 12 on node-3`; of this host's name, `process 12 in another container`. */
function nameOf({ pid, host }: Holder): string {
  return `process ${pid} ${host === hostname() ? 'in another container' : `on ${host}`}`;
}

/** Milliseconds by the clock of the file system, which may be another host's. */
function clockOf(folder: string): number {
  const probe = `${fileIn(folder)}.clock-${randomBytes(8).toString('hex')}`;
  try {
    const descriptor = openSync(probe, 'wx');
    try {
      writeSync(descriptor, 'now');
      return fstatSync(descriptor).mtimeMs;
    } finally {
      closeSync(descriptor);
      rmSync(probe, { force: true });
    }
  } catch (error) {
    throw new UserError(`cannot write ${probe}: ${messageOf(error)}`, { cause: error });
  }
}

function parse(text: string): Holder | undefined {
  try {
    const { token, pid, host, boot, pidNamespace, started } = JSON.parse(text) as Holder;
    const isTextOrNull = (value: unknown) => value === null || typeof value === 'string';
    const isValid =
      typeof token === 'string' &&
      Number.isSafeInteger(pid) &&
      pid > 0 &&
      typeof host === 'string' &&
      [boot, pidNamespace, started].every(isTextOrNull);
    return isValid ? { token, pid, host, boot, pidNamespace, started } : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined if there is no such file. */
function seenIn(file: string): SeenLock | undefined {
  return ifThere(file, () => {
    // Opening the file makes NFS ask the server for its present attributes.
    const descriptor = openSync(file, 'r');
    try {
      return { text: readFileSync(descriptor, 'utf8'), mtimeMs: fstatSync(descriptor).mtimeMs };
    } finally {
      closeSync(descriptor);
    }
  });
}

/** Undefined if there is no such file. */
function textOf(file: string): string | undefined {
  return ifThere(file, () => readFileSync(file, 'utf8'));
}

function ifThere<Result>(file: string, read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UserError(`cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}
