/**
 * The npm packages. They are installed if node_modules is not what package-lock.json says.
 *
 * `npm start` needs what the program needs, and esbuild to build it; `--backend tensorflow` needs tfjs-node-gpu
 * besides; `npm test` needs everything.
 *
 * npm's last act is to record what it installed in node_modules/.package-lock.json, so that file is missing
 * after an interrupted installation.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Unavailable } from './libtensorflow.mjs';
import { run, timed } from './subprocess.mjs';

/** The development package that `npm start` needs; its own packages, one per platform, are in the folder `@esbuild`. */
const COMPILER = 'esbuild';
/** The development package of the TensorFlow backend, installed when that is asked for: with its own, 240 MB. */
const TFJS_NODE = '@tensorflow/tfjs-node-gpu';
/** What the program never loads: source maps, and tfjs's tests and bundles for other places than Node. */
const UNUSED =
  /\.[cm]?[jt]s\.map$|@tensorflow.*(_test\.js|[\\/]dist[\\/](miniprogram[\\/].*|tf-.*(?<!\.node))\.js)$/;

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

/**
 * Folders of the packages that the program runs with, from the project's.
 * @param {string} root the project's folder
 */
export function productionPackages(root) {
  return neededPackages(root, false)
    .map(([path]) => path)
    .filter((path) => !isOfCompiler(path));
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
  // `npm install` would take over the folders of an installation that was cut off.
  if (!existsSync(recordOf(root)))
    rmSync(join(root, 'node_modules'), { recursive: true, force: true });
  const words = all ? ['ci', '--include=dev'] : withDevelopment(root, COMPILER);
  await timed(`installing ${neededPackages(root, all).length} npm packages`, () =>
    npmInstall(root, words),
  );
  if (!all) removeUnused(root);
}

/**
 * Removes the files of packages that the program never loads, a third of all. `npm ci` brings them back.
 * @param {string} root the project's folder
 */
export function removeUnused(root) {
  const folder = join(root, 'node_modules');
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (isUnused(name)) rmSync(join(folder, name));
  }
}

/**
 * Whether the program never loads this file of a package.
 * @param {string} name
 */
export function isUnused(name) {
  return UNUSED.test(name);
}

/**
 * The tfjs-node-gpu package; undefined if it is not installed.
 * @param {string} root the project's folder
 */
export function tfjsNodeFolder(root) {
  // By files, because Node remembers that it did not find a package.
  return createRequire(join(root, 'package.json'))
    .resolve.paths(TFJS_NODE)
    ?.map((folder) => join(folder, TFJS_NODE))
    .find((folder) => existsSync(join(folder, 'package.json')));
}

/**
 * Installs tfjs-node-gpu, for the TensorFlow backend.
 * @param {string} root the project's folder
 * @throws {Unavailable} in a project that has this one installed: its packages are its own affair
 */
export async function installTfjsNode(root) {
  if (!existsSync(lockFileOf(root))) {
    const { peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const wanted = `${TFJS_NODE}@${peerDependencies[TFJS_NODE]}`;
    throw new Unavailable(`its package is not installed: npm install --ignore-scripts ${wanted}`);
  }
  await timed(`installing ${TFJS_NODE}`, () =>
    npmInstall(root, withDevelopment(root, COMPILER, TFJS_NODE)),
  );
}

/**
 * npm's words for installing what the program needs and some development packages.
 * @param {string} root
 * @param {...string} names
 */
function withDevelopment(root, ...names) {
  const locked = packagesOf(lockFileOf(root));
  const wanted = names.map((name) => `${name}@${locked[`node_modules/${name}`]?.version}`);
  return ['install', '--no-save', '--save-prod', '--omit=dev', ...wanted];
}

/**
 * @param {string} root
 * @param {string[]} words
 */
async function npmInstall(root, words) {
  const [program, programArguments] = npm(process.env);
  // What NODE_ENV or npm's settings leave out must not count, and `npm start --silent` must not hide errors.
  const always = ['--include=optional', '--loglevel=error'];
  await run(program, [...programArguments, ...words, ...always], { cwd: root });
}

/**
 * The npm that started this program, if one did. On Windows `npm` is not a program but a script, beside Node.
 * @param {NodeJS.ProcessEnv} environment
 * @returns {[program: string, programArguments: string[]]}
 */
export function npm({ npm_execpath: script }) {
  // Other package managers set it to their own script.
  if (script?.endsWith('npm-cli.js')) return [process.execPath, [script]];
  const beside = join(dirname(process.execPath), 'node_modules', 'npm', 'bin', 'npm-cli.js');
  return existsSync(beside) ? [process.execPath, [beside]] : ['npm', []];
}
