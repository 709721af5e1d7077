/**
 * The npm packages. They are installed if node_modules is not what package-lock.json says.
 *
 * npm's last act is to record what it installed in node_modules/.package-lock.json, so that file is missing
 * after an interrupted installation.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, timed } from './subprocess.mjs';

/**
 * Whether node_modules holds every package of the lock file in its locked version. True if there is no lock
 * file, because then the project is itself an installed package with its dependencies.
 * @param {string} root the project's folder
 */
export function dependenciesInstalled(root) {
  const lockFile = join(root, 'package-lock.json');
  if (!existsSync(lockFile)) return true;
  const installedFile = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedFile)) return false;
  const installed = packagesOf(installedFile);
  return Object.entries(packagesOf(lockFile)).every(([path, locked]) => {
    if (path === '') return true;
    const there = installed[path];
    return there === undefined ? !isForHere(locked) : there.version === locked.version;
  });
}

/**
 * @typedef {object} LockedPackage
 * @property {string} [version]
 * @property {boolean} [optional]
 * @property {string[]} [os]
 * @property {string[]} [cpu]
 * @property {string[]} [libc]
 */

/**
 * Whether npm installs the package on this host. Of the optional packages it installs those that name this
 * platform. Optional packages without a platform belong to one that has a platform.
 * @param {LockedPackage} locked
 */
function isForHere({ optional, os, cpu, libc }) {
  if (optional !== true) return true;
  if (os === undefined && cpu === undefined) return false;
  return (
    (os?.includes(process.platform) ?? true) &&
    (cpu?.includes(process.arch) ?? true) &&
    (libc?.includes(libcHere()) ?? true)
  );
}

/** The C library, by npm's name for it. */
function libcHere() {
  // Otherwise the report looks up host names on the network.
  Object.assign(process.report, { excludeNetwork: true });
  const report = /** @type {{ header: object }} */ (process.report.getReport());
  return 'glibcVersionRuntime' in report.header ? 'glibc' : 'musl';
}

/**
 * @param {string} file
 * @returns {Record<string, LockedPackage>}
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
  const [program, programArguments] = npm(process.env);
  // The build needs development packages, whatever NODE_ENV or npm's settings leave out.
  // `npm start --silent` must not hide errors.
  const ci = ['ci', '--include=dev', '--include=optional', '--loglevel=error'];
  await timed('installing npm packages', () =>
    run(program, [...programArguments, ...ci], { cwd: root }),
  );
}

/**
 * The npm that started this program, if one did. On Windows `npm` is not a program but a script.
 * @param {NodeJS.ProcessEnv} environment
 * @returns {[program: string, programArguments: string[]]}
 */
export function npm({ npm_execpath: script }) {
  // Other package managers set it to their own script.
  return script?.endsWith('npm-cli.js') ? [process.execPath, [script]] : ['npm', []];
}
