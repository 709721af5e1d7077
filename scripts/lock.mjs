/**
 * Locks between processes that set up the same checkout, or fetch into the same cache.
 *
 * A lock is a file that its holder touches every few seconds. It is stale if its holder has ended, or has not
 * touched it for a minute: a holder in another container or on another host cannot be looked up.
 */
import { randomUUID } from 'node:crypto';
import {
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { clearInterval, setInterval } from 'node:timers';
import { setTimeout as delay } from 'node:timers/promises';
import { say } from './subprocess.mjs';

const HEARTBEAT_MS = 5_000;
const STALE_MS = 60_000;
const LOOK_MS = 200;

/**
 * Does `work` while no other process holds the lock; waits for one that does, and says so.
 * @template Result
 * @param {string} file of the lock; without permission to write it, `work` is done without
 * @param {() => Promise<Result>} work
 * @returns {Promise<Result>}
 */
export async function withLock(file, work) {
  const own = JSON.stringify({ process: process.pid, place: place(), token: randomUUID() });
  if (!(await take(file, own))) return work();
  const release = () => {
    if (read(file) === own) rmSync(file, { force: true });
  };
  const heartbeat = setInterval(() => touch(file), HEARTBEAT_MS);
  // A signal ends set-up by way of process.exit().
  process.once('exit', release);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    process.off('exit', release);
    release();
  }
}

/**
 * @param {string} file
 * @param {string} own text
 * @returns {Promise<boolean>} false if the file cannot be written
 */
async function take(file, own) {
  try {
    mkdirSync(dirname(file), { recursive: true });
  } catch {
    return false;
  }
  for (let isWaiting = false; ;) {
    try {
      writeFileSync(file, own, { flag: 'wx' });
      return true;
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') return false;
    }
    const text = read(file);
    if (text === undefined || removedIfStale(file, text)) continue;
    if (!isWaiting) say(`another set-up is running (${file}): waiting for it to finish`);
    isWaiting = true;
    await delay(LOOK_MS);
  }
}

/**
 * @param {string} file
 * @param {string} text that it had
 */
function removedIfStale(file, text) {
  if (!isStale(file, text)) return false;
  // A rename, so that only one of two processes that find the same stale lock removes it.
  const aside = `${file}.stale-${randomUUID()}`;
  try {
    renameSync(file, aside);
  } catch {
    return true;
  }
  if (read(aside) === text) rmSync(aside);
  // The other process was faster, and this is its lock.
  else renameSync(aside, file);
  return true;
}

/**
 * @param {string} file
 * @param {string} text
 */
function isStale(file, text) {
  const touched = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
  if (touched === undefined || Date.now() - touched > STALE_MS) return true;
  try {
    const holder = JSON.parse(text);
    return holder.place === place() && !isRunning(holder.process);
  } catch {
    // Its holder is writing it.
    return false;
  }
}

/** Where a process number means the same process: this host and, on Linux, this PID namespace. */
function place() {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

/** @param {number} processId */
function isRunning(processId) {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    // EPERM: another user's process.
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/** @param {string} file */
function touch(file) {
  try {
    utimesSync(file, new Date(), new Date());
  } catch {
    // Another process took the lock over.
  }
}

/** @param {string} file */
function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
