/**
 * The npm packages: installed when node_modules is not what package-lock.json says.
 *
 * npm records what it installed in node_modules/.package-lock.json, as its last act, so that file is
 * missing after an interrupted installation.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, say } from './subprocess.mjs';

/**
 * Whether node_modules holds every package of the lock file in its locked version. True where there is
 * no lock file: the project is itself installed as a package then, together with its dependencies.
 * @param {string} root the project's folder
 */
export function dependenciesInstalled(root) {
  const lockFile = join(root, 'package-lock.json');
  if (!existsSync(lockFile)) return true;
  const installedFile = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedFile)) return false;
  const locked = packagesOf(lockFile);
  const installed = packagesOf(installedFile);
  return Object.entries(locked).every(([path, { version, optional }]) => {
    if (path === '') return true;
    const there = installed[path];
    // Optional ones are those of other platforms.
    return there === undefined ? optional === true : there.version === version;
  });
}

/**
 * @param {string} file
 * @returns {Record<string, { version: string, optional?: boolean }>}
 */
function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

/** @param {string} root the project's folder */
export async function installDependencies(root) {
  if (dependenciesInstalled(root)) return;
  say('installing npm packages (about a minute)');
  // Errors show also where `npm start` was told to be silent.
  await run('npm', ['ci', '--loglevel=error'], { cwd: root });
}
