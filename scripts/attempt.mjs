/** Set-up of a part that the program can do without. */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeWhole } from './files.mjs';
import { Unavailable } from './libtensorflow.mjs';
import { say } from './subprocess.mjs';

/**
 * @typedef {object} Part
 * @property {string} without what follows if it cannot be prepared
 * @property {() => boolean} isReady whether it is in place, and as it should be
 * @property {string} addon its file: if that exists, the program uses it; '' if it can have none
 * @property {string} record file for the reason why it cannot be prepared
 * @property {() => unknown} circumstances what can change so that another attempt makes sense
 * @property {() => Promise<void>} prepare
 */

/**
 * A step of set-up that prepares a part, or records why that is not possible.
 * @param {Part} part
 * @param {boolean} retry try again even if nothing has changed since it failed
 * @returns {import('./steps.mjs').Step}
 */
export function attemptOf(part, retry) {
  return {
    isDone: () => part.isReady() || (!retry && failedAlike(part) && !existsSync(part.addon)),
    take: () => attempt(part, retry),
  };
}

/**
 * @param {Part} part
 * @param {boolean} retry
 */
async function attempt(part, retry) {
  const { without, addon, record, prepare } = part;
  const now = circumstancesOf(part);
  try {
    // An addon for another processor, library or version would end the program.
    if (addon !== '') rmSync(addon, { force: true });
    if (!retry && failedAlike(part)) return;
    rmSync(record, { force: true });
    mkdirSync(dirname(record), { recursive: true });
    // Checked before anything is fetched.
    accessSync(dirname(record), constants.W_OK);
    if (process.platform !== 'linux') throw new Unavailable('it is prepared on Linux only');
    await prepare();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    say(`${without}: ${reason}`);
    try {
      writeWhole(record, JSON.stringify({ circumstances: now, reason: reason.split('\n')[0] }));
    } catch {
      // In an installation that cannot be written, the reason is printed each time.
    }
  }
}

/**
 * Whether it failed before, and nothing has changed since.
 * @param {Part} part
 */
function failedAlike(part) {
  const { record } = part;
  if (!existsSync(record)) return false;
  return JSON.parse(readFileSync(record, 'utf8')).circumstances === circumstancesOf(part);
}

/** @param {Part} part */
function circumstancesOf({ circumstances }) {
  // On macOS, looking for a compiler would ask to install one.
  return JSON.stringify(process.platform === 'linux' ? circumstances() : process.platform);
}
