/**
 * oneDNN, 2.6 or a later 2 or 3, for the native addon.
 *
 * Taken from, in this order:
 * 1. the system: the package libdnnl-dev, or a build under /usr/local;
 * 2. what is prepared already, in `${XDG_CACHE_HOME:-~/.cache}/twotower/`;
 * 3. Debian's or Ubuntu's packages, unpacked there; that needs no root.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { makeWhole } from './files.mjs';
import { Unavailable } from './libtensorflow.mjs';
import { run, timed, works } from './subprocess.mjs';

const REMEDY = 'sudo apt-get install libdnnl-dev';

/**
 * The development package, and every library that it needs beside those of g++. Which of the runtime
 * packages a distribution has depends on its oneDNN.
 */
const PACKAGES = ['libdnnl-dev', 'ocl-icd-libopencl1'];
const RUNTIME_PACKAGES = ['libdnnl3', 'libdnnl2'];

/**
 * @typedef {object} OneDnn
 * @property {string} include folder of `oneapi/dnnl/dnnl.hpp`
 * @property {string} library folder of `libdnnl.so`
 */

/**
 * oneDNN where it is in place; undefined where it has yet to be prepared.
 * @param {NodeJS.ProcessEnv} environment
 * @returns {OneDnn | undefined}
 */
export function findOneDnn(environment) {
  const prepared = cacheFolder(environment);
  return [
    systemAt('/usr/local'),
    systemAt('/usr'),
    { include: join(prepared, 'include'), library: join(prepared, 'lib') },
  ].find(isOneDnn);
}

/**
 * @param {NodeJS.ProcessEnv} environment
 * @returns {Promise<OneDnn>}
 * @throws {Unavailable} if it can be had nowhere
 */
export async function prepareOneDnn(environment) {
  const found = findOneDnn(environment);
  if (found !== undefined) return found;
  if (!works('apt-get', ['--version']) || !works('dpkg-deb', ['--version'])) {
    throw new Unavailable('oneDNN 2.6 or later is missing: install its development package');
  }
  await makeWhole(cacheFolder(environment), async (partial) => {
    await timed('fetching oneDNN (8 MB)', () => fetchPackages(partial));
    await layOut(partial);
    if (!isOneDnn({ include: join(partial, 'include'), library: join(partial, 'lib') })) {
      throw new Unavailable(`the distribution's oneDNN is older than 2.6 or incomplete: ${REMEDY}`);
    }
  });
  return /** @type {OneDnn} */ (findOneDnn(environment));
}

/** @param {NodeJS.ProcessEnv} environment */
function cacheFolder(environment) {
  const caches = environment['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(caches, 'twotower', 'onednn');
}

/**
 * @param {string} prefix
 * @returns {OneDnn}
 */
function systemAt(prefix) {
  const candidates = [join(prefix, 'lib'), join(prefix, 'lib64')];
  if (existsSync(join(prefix, 'lib'))) {
    // Debian's folders by architecture, e.g. x86_64-linux-gnu.
    const architectures = readdirSync(join(prefix, 'lib')).filter((name) =>
      name.endsWith('-linux-gnu'),
    );
    candidates.push(...architectures.map((name) => join(prefix, 'lib', name)));
  }
  const library = candidates.find((folder) => existsSync(join(folder, 'libdnnl.so')));
  return { include: join(prefix, 'include'), library: library ?? join(prefix, 'lib') };
}

/**
 * Whether library and headers are there, in a version that the addon is written for.
 * @param {OneDnn} oneDnn
 */
export function isOneDnn({ include, library }) {
  const header = join(include, 'oneapi', 'dnnl', 'dnnl_version.h');
  if (!existsSync(header) || !existsSync(join(library, 'libdnnl.so'))) return false;
  const text = readFileSync(header, 'utf8');
  const number = (/** @type {string} */ part) =>
    Number(new RegExp(`#define DNNL_VERSION_${part} (\\d+)`).exec(text)?.[1]);
  const major = number('MAJOR');
  return (major === 2 && number('MINOR') >= 6) || major === 3;
}

/** @param {string} folder */
async function fetchPackages(folder) {
  const download = (/** @type {string[]} */ names) =>
    run('apt-get', ['download', ...names], { cwd: folder, quiet: true });
  try {
    await download(PACKAGES);
    const runtime = RUNTIME_PACKAGES.find((name) => works('apt-cache', ['show', name]));
    if (runtime === undefined) throw new Error('no runtime package');
    await download([runtime]);
  } catch {
    throw new Unavailable(
      `oneDNN is missing and the distribution's packages cannot be fetched (their lists may be absent: sudo apt-get update): ${REMEDY}`,
    );
  }
}

/**
 * From the packages in the folder, `include/` and `lib/` there.
 * @param {string} folder
 */
async function layOut(folder) {
  const unpacked = join(folder, 'unpacked');
  mkdirSync(unpacked);
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith('.deb'))) {
    await run('dpkg-deb', ['-x', join(folder, name), unpacked], { quiet: true });
    rmSync(join(folder, name));
  }
  const { include, library } = systemAt(join(unpacked, 'usr'));
  if (existsSync(include)) cpSync(include, join(folder, 'include'), { recursive: true });
  if (existsSync(library)) {
    cpSync(library, join(folder, 'lib'), { recursive: true, verbatimSymlinks: true });
  }
  rmSync(unpacked, { recursive: true });
}
