/**
 * C libraries with their headers, for the addons. The sources, in order:
 * 1. the system: its development package, or a build under /usr/local;
 * 2. an earlier preparation, in `${XDG_CACHE_HOME:-~/.cache}/twotower/`;
 * 3. Debian's or Ubuntu's packages, unpacked there without root.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './cache.mjs';
import { makeWhole } from './files.mjs';
import { Unavailable } from './libtensorflow.mjs';
import { run, timed, works } from './subprocess.mjs';

/**
 * @typedef {object} SystemLibrary
 * @property {string} name with the suitable versions, for messages
 * @property {string} folder in the cache
 * @property {string} size of the download
 * @property {string} file of the library
 * @property {string[]} headers that have the version, below a folder of headers; at least one exists
 * @property {(headers: string) => boolean} isRight whether the headers' text is of a suitable version
 * @property {string[][]} packages those needed besides g++'s own: of each list the first that the distribution
 *   has
 * @property {string} developmentPackage installs the library for everyone
 */

/**
 * @typedef {object} LibraryFolders
 * @property {string[]} include folders of headers
 * @property {string} folder of the library's file
 * @property {string} version text of the headers that have it
 */

/** @type {SystemLibrary} */
export const ONEDNN = {
  name: 'oneDNN 2.6 or later',
  folder: 'onednn',
  size: '8 MB',
  file: 'libdnnl.so',
  headers: ['oneapi/dnnl/dnnl_version.h'],
  isRight: (headers) => {
    const [major, minor] = ['MAJOR', 'MINOR'].map((part) =>
      Number(new RegExp(`#define DNNL_VERSION_${part} (\\d+)`).exec(headers)?.[1]),
    );
    return (major === 2 && Number(minor) >= 6) || major === 3;
  },
  packages: [['libdnnl-dev'], ['ocl-icd-libopencl1'], ['libdnnl3', 'libdnnl2']],
  developmentPackage: 'libdnnl-dev',
};

/**
 * Since 2.1 it decodes to the same bytes as sharp, for every chroma subsampling.
 * @type {SystemLibrary}
 */
export const LIBJPEG_TURBO = {
  name: 'libjpeg-turbo 2.1 or later',
  folder: 'libjpeg-turbo',
  size: '0.5 MB',
  file: 'libjpeg.so',
  // On Fedora the first one only includes the second.
  headers: ['jconfig.h', 'jconfig-64.h'],
  isRight: (headers) => {
    const [, major, minor] = /#define LIBJPEG_TURBO_VERSION +(\d+)\.(\d+)/.exec(headers) ?? [];
    return (Number(major) === 2 && Number(minor) >= 1) || Number(major) === 3;
  },
  packages: [
    ['libjpeg62-turbo-dev', 'libjpeg-turbo8-dev'],
    ['libjpeg62-turbo', 'libjpeg-turbo8'],
  ],
  developmentPackage: 'libjpeg-dev',
};

/**
 * The library if it is in place; undefined if it has yet to be prepared.
 * @param {SystemLibrary} library
 * @param {NodeJS.ProcessEnv} environment
 * @returns {LibraryFolders | undefined}
 */
export function findLibrary(library, environment) {
  return ['/usr/local', '/usr', cacheFolder(library.folder, environment)]
    .map((prefix) => libraryUnder(prefix, library))
    .find((found) => found !== undefined);
}

/**
 * @param {SystemLibrary} library
 * @param {NodeJS.ProcessEnv} environment
 * @returns {Promise<LibraryFolders>}
 * @throws {Unavailable} if no source has it
 */
export async function prepareLibrary(library, environment) {
  const found = findLibrary(library, environment);
  if (found !== undefined) return found;
  const folder = cacheFolder(library.folder, environment);
  await fetchLibrary(library, folder);
  return /** @type {LibraryFolders} */ (libraryUnder(folder, library));
}

/**
 * Fetches the distribution's packages of the library and lays them out, with their notices of copyright.
 * @param {SystemLibrary} library
 * @param {string} folder to have them in `include/`, `lib/` and `share/doc/`
 * @throws {Unavailable} if they cannot be fetched, or are of another version
 */
export async function fetchLibrary(library, folder) {
  const { name, size } = library;
  if (!works('apt-get', ['--version']) || !works('dpkg-deb', ['--version'])) {
    throw new Unavailable(`${name} is missing: install its development package`);
  }
  const [shortName] = name.split(' ');
  const isWhole = () => libraryUnder(folder, library) !== undefined;
  await makeWhole(folder, isWhole, async (partial) => {
    await timed(`fetching ${shortName} (${size})`, async () => {
      await fetchPackages(partial, library);
      await layOut(partial);
    });
    if (libraryUnder(partial, library) === undefined) {
      throw new Unavailable(
        `the distribution's is not ${name}, or not whole: install that under /usr/local`,
      );
    }
  });
}

/**
 * Library and headers under a prefix, if both are there and of a suitable version.
 * @param {string} prefix
 * @param {SystemLibrary} library
 * @returns {LibraryFolders | undefined}
 */
export function libraryUnder(prefix, { file, headers, isRight }) {
  const include = withArchitectures(join(prefix, 'include'));
  const headersIn = (/** @type {string} */ one) =>
    headers.map((header) => join(one, header)).filter((header) => existsSync(header));
  const there = include.map(headersIn).find((found) => found.length > 0);
  const folders = [...withArchitectures(join(prefix, 'lib')), join(prefix, 'lib64')];
  const folder = folders.find((one) => existsSync(join(one, file)));
  if (folder === undefined || there === undefined) return undefined;
  const version = there.map((header) => readFileSync(header, 'utf8')).join('');
  return isRight(version) ? { include, folder, version } : undefined;
}

/**
 * A folder, and Debian's folders by architecture in it, such as x86_64-linux-gnu.
 * @param {string} folder
 */
function withArchitectures(folder) {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => name.endsWith('-linux-gnu'));
  return [folder, ...names.map((name) => join(folder, name))];
}

/**
 * @param {string} folder
 * @param {SystemLibrary} library
 */
async function fetchPackages(folder, { name, packages, developmentPackage }) {
  try {
    const wanted = packages.map((names) => {
      const known = names.find((one) => works('apt-cache', ['show', one]));
      if (known === undefined) throw new Error(`no package ${names.join(' or ')}`);
      return known;
    });
    await run('apt-get', ['download', ...wanted], { cwd: folder });
  } catch {
    throw new Unavailable(
      `${name} is missing and the distribution's packages cannot be fetched (their lists may be absent: sudo apt-get update): sudo apt-get install ${developmentPackage}`,
    );
  }
}

/**
 * Unpacks the packages in the folder into `include/`, `lib/` and `share/doc/` there.
 * @param {string} folder
 */
async function layOut(folder) {
  const unpacked = join(folder, 'unpacked');
  mkdirSync(unpacked);
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith('.deb'))) {
    await run('dpkg-deb', ['-x', join(folder, name), unpacked]);
    rmSync(join(folder, name));
  }
  for (const part of ['include', 'lib', join('share', 'doc')]) {
    const from = join(unpacked, 'usr', part);
    if (!existsSync(from)) continue;
    cpSync(from, join(folder, part), { recursive: true, verbatimSymlinks: true });
  }
  rmSync(unpacked, { recursive: true });
}
