/**
 * The npm packages: installed when node_modules is not what package-lock.json says.
 *
 * npm records what it installed in node_modules/.package-lock.json, as its last act, so that file is
 * missing after an interrupted installation.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, timed } from './subprocess.mjs';

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
 * Whether npm installs the package on this host. Of the optional ones it does so with those that name this
 * platform; those that name none come with a package of some platform.
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

/** As npm tells them apart. */
function libcHere() {
  // Else it asks the network for the names of this host's addresses.
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
  // All kinds, whatever NODE_ENV or npm's settings leave out: the build needs those for development.
  // `npm start --silent` must not hide errors.
  const ci = ['ci', '--include=dev', '--include=optional', '--loglevel=error'];
  await timed('installing npm packages', () =>
    run(program, [...programArguments, ...ci], { cwd: root }),
  );
}

/**
 * The npm that started this program where one did: on Windows `npm` is no program but a script.
 * @param {NodeJS.ProcessEnv} environment
 * @returns {[program: string, programArguments: string[]]}
 */
export function npm({ npm_execpath: script }) {
  // Other package managers set it to themselves.
  return script?.endsWith('npm-cli.js') ? [process.execPath, [script]] : ['npm', []];
}
