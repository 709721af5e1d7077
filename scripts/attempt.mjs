/** Set-up of one part that the program can do without. */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeWhole } from './files.mjs';
import { Unavailable } from './libtensorflow.mjs';
import { say } from './subprocess.mjs';

/**
 * @typedef {object} Part that is not in place, or not as it should be
 * @property {string} without what follows where it cannot be prepared
 * @property {string} addon its file: where that is, the program uses it
 * @property {string} record file for the reason why it cannot be prepared
 * @property {() => unknown} circumstances what can change so that another attempt makes sense
 */

/**
 * Prepares a part, or records why that cannot be.
 * @param {Part} part
 * @param {boolean} retry though nothing changed since it failed
 * @param {() => Promise<void>} prepare
 */
export async function attempt({ without, addon, record, circumstances }, retry, prepare) {
  const isLinux = process.platform === 'linux';
  // Elsewhere nothing is looked for: macOS asks to install a compiler whenever one is.
  const now = JSON.stringify(isLinux ? circumstances() : process.platform);
  try {
    // What is there is of another processor, library or version, and would end the program.
    rmSync(addon, { force: true });
    if (!retry && existsSync(record)) {
      if (JSON.parse(readFileSync(record, 'utf8')).circumstances === now) return;
    }
    rmSync(record, { force: true });
    mkdirSync(dirname(record), { recursive: true });
    // Before anything is fetched for a folder that cannot take it.
    accessSync(dirname(record), constants.W_OK);
    if (!isLinux) throw new Unavailable('it is prepared on Linux only');
    await prepare();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    say(`${without}: ${reason}`);
    try {
      writeWhole(record, JSON.stringify({ circumstances: now, reason: reason.split('\n')[0] }));
    } catch {
      // A read-only installation: the reason is said each time.
    }
  }
}
