/** The folder in which set-up keeps what it fetches. */
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * `${XDG_CACHE_HOME:-~/.cache}/twotower/NAME`, or in the project's own `.cache/` if the user has no home.
 * @param {string} name
 * @param {NodeJS.ProcessEnv} environment
 */
export function cacheFolder(name, environment) {
  return join(environment['XDG_CACHE_HOME'] || join(home(), '.cache'), 'twotower', name);
}

function home() {
  try {
    return homedir();
  } catch {
    // A container's process may run under a user number that has no entry.
    return ROOT;
  }
}
