/** Files and folders that are either whole or not there: made beside their place, then renamed. */
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { withLock } from './lock.mjs';

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
 * Makes a folder by `fill`ing a new one beside it, unless it is whole. One process at a time does so.
 * @param {string} folder
 * @param {() => boolean} isWhole
 * @param {(partial: string) => Promise<void> | void} fill
 */
export async function makeWhole(folder, isWhole, fill) {
  await withLock(`${folder}.lock`, async () => {
    // Another process may have made it meanwhile.
    if (isWhole()) return;
    const partial = `${folder}.partial-${process.pid}`;
    removeLeftovers(folder);
    mkdirSync(partial, { recursive: true });
    try {
      await fill(partial);
      rmSync(folder, { recursive: true, force: true });
      renameSync(partial, folder);
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
  });
}

/**
 * Removes what attempts left that were cut off: no other process is at work, so all of it.
 * @param {string} folder
 */
function removeLeftovers(folder) {
  const parent = dirname(folder);
  mkdirSync(parent, { recursive: true });
  for (const entry of readdirSync(parent)) {
    if (!entry.startsWith(`${basename(folder)}.partial-`)) continue;
    rmSync(join(parent, entry), { recursive: true, force: true });
  }
}
