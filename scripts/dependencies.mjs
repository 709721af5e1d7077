/**
 * The npm packages. They are installed if node_modules is not what package-lock.json says.
 *
 * `npm start` needs what the program needs, and esbuild to build it; `npm test` needs everything.
 *
 * npm's last act is to record what it installed in node_modules/.package-lock.json, so that file is missing
 * after an interrupted installation.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run, timed } from './subprocess.mjs';

/** The development package that `npm start` needs; its own packages, one per platform, are in the folder `@esbuild`. */
const COMPILER = 'esbuild';

/**
 * Whether node_modules holds every needed package of the lock file in its locked version. True if there is no
 * lock file, because then the project is itself an installed package with its dependencies.
 * @param {string} root the project's folder
 * @param {boolean} all development packages too
 */
export function dependenciesInstalled(root, all) {
  if (!existsSync(lockFileOf(root))) return true;
  const installedFile = recordOf(root);
  if (!existsSync(installedFile)) return false;
  const installed = packagesOf(installedFile);
  return neededPackages(root, all).every(([path, { version }]) => {
    return installed[path]?.version === version;
  });
}

/** @param {string} root */
const lockFileOf = (root) => join(root, 'package-lock.json');
/** @param {string} root */
const recordOf = (root) => join(root, 'node_modules', '.package-lock.json');

/**
 * @param {string} root
 * @param {boolean} all
 */
function neededPackages(root, all) {
  return Object.entries(packagesOf(lockFileOf(root))).filter(([path, locked]) => {
    if (path === '' || !isForHere(locked)) return false;
    return all || locked.dev !== true || isOfCompiler(path);
  });
}

/** @param {string} path of a package */
const isOfCompiler = (path) => new RegExp(`^node_modules/@?${COMPILER}(/|$)`).test(path);

/**
 * @typedef {object} LockedPackage
 * @property {string} [version]
 * @property {boolean} [dev]
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

/**
 * @param {string} root the project's folder
 * @param {boolean} all development packages too
 */
export async function installDependencies(root, all) {
  const [program, programArguments] = npm(process.env);
  const needed = neededPackages(root, all);
  const compiler = packagesOf(lockFileOf(root))[`node_modules/${COMPILER}`];
  // What NODE_ENV or npm's settings leave out must not count, and `npm start --silent` must not hide errors.
  const words = all
    ? ['ci', '--include=dev']
    : ['install', '--no-save', '--save-prod', '--omit=dev', `${COMPILER}@${compiler?.version}`];
  words.push('--include=optional', '--loglevel=error');
  // `npm install` would take over the folders of an installation that was cut off.
  if (!existsSync(recordOf(root)))
    rmSync(join(root, 'node_modules'), { recursive: true, force: true });
  await timed(`installing ${needed.length} npm packages`, () =>
    run(program, [...programArguments, ...words], { cwd: root }),
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
