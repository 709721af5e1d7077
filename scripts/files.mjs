/** Files and folders that are either whole or not there: made beside their place, then renamed. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * @param {string} file
 * @param {string} text
 */
export function writeWhole(file, text) {
  const partial = `${file}.partial-${process.pid}`;
  writeFileSync(partial, text);
  renameSync(partial, file);
}

/**
 * Makes a folder by `fill`ing a new one beside it; leftovers of attempts that were cut off are removed.
 * @param {string} folder
 * @param {(partial: string) => Promise<void> | void} fill
 */
export async function makeWhole(folder, fill) {
  const parent = dirname(folder);
  mkdirSync(parent, { recursive: true });
  removeLeftovers(parent, basename(folder));
  const partial = `${folder}.partial-${process.pid}`;
  mkdirSync(partial);
  try {
    await fill(partial);
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/**
 * @param {string} parent
 * @param {string} name
 */
function removeLeftovers(parent, name) {
  for (const entry of readdirSync(parent)) {
    if (!entry.startsWith(`${name}.partial-`)) continue;
    const owner = Number(entry.slice(entry.lastIndexOf('-') + 1));
    // Containers that share a cache number their processes alike: our own number is another's leftover.
    if (owner === process.pid || !isRunning(owner)) {
      rmSync(join(parent, entry), { recursive: true, force: true });
    }
  }
}

/** @param {number} processId */
function isRunning(processId) {
  return existsSync('/proc/self') ? existsSync(`/proc/${processId}`) : false;
}
