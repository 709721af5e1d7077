/**
 * The project's own addons: the native backend, on oneDNN, and the JPEG decoder, on libjpeg-turbo. They are
 * compiled from native/*.cc for this machine's processor, by calling the C++ compiler with the headers of the
 * node-api-headers package.
 *
 * `native/build/.NAME.built` has the signature of what an addon was built from, the processor included.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { findCompiler } from './addons.mjs';
import { writeWhole } from './files.mjs';
import { Unavailable } from './libtensorflow.mjs';
import { run, timed } from './subprocess.mjs';
import { findLibrary, LIBJPEG_TURBO, ONEDNN, prepareLibrary } from './system_library.mjs';

/**
 * @typedef {object} NativeAddon
 * @property {string} name of its file
 * @property {string} progress set-up's line for compiling it
 * @property {(source: string) => boolean} has whether a file, named by its path in native/, is one of its sources
 * @property {import('./system_library.mjs').SystemLibrary} library that it is linked with
 * @property {string[]} flags for compiling and linking, besides the common ones
 */

const FLAGS = ['-std=c++17', '-O3', '-fPIC', '-fvisibility=hidden', '-DNAPI_VERSION=8'];

const JPEG_SOURCES = ['jpeg_decoder.cc', 'arguments.cc', 'arguments.h', 'values.cc', 'values.h'];

/** @type {NativeAddon} */
export const BACKEND_ADDON = {
  name: 'twotower',
  progress: 'compiling the native addon',
  has: (source) => !['device_pin.cc', 'jpeg_decoder.cc'].includes(source),
  library: ONEDNN,
  flags: [
    '-march=native',
    // These let square roots and comparisons be vectorized; results stay the same.
    '-fno-math-errno',
    '-fno-trapping-math',
    '-fopenmp',
  ],
};

/** @type {NativeAddon} */
export const JPEG_ADDON = {
  name: 'jpeg_decoder',
  progress: 'compiling the JPEG decoder',
  has: (source) => JPEG_SOURCES.includes(source),
  library: LIBJPEG_TURBO,
  flags: [],
};

/**
 * @param {string} root the project's folder
 * @param {NativeAddon} addon
 */
export function nativePlaces(root, { name }) {
  const folder = join(root, 'native', 'build');
  return {
    folder,
    addon: join(folder, `${name}.node`),
    objects: join(folder, `${name}.objects`),
    stamp: join(folder, `.${name}.built`),
    unavailable: join(folder, `.${name}.unavailable`),
  };
}

/**
 * @param {string} root
 * @param {NativeAddon} addon
 */
function sourcesOf(root, { has }) {
  const folder = join(root, 'native');
  return ['', 'cpu']
    .flatMap((part) => readdirSync(join(folder, part)).map((name) => join(part, name)))
    .filter((name) => /\.(cc|h)$/.test(name) && has(name))
    .sort()
    .map((name) => join(folder, name));
}

/** The processor's features, as Linux lists them. */
function processorFeatures() {
  if (!existsSync('/proc/cpuinfo')) return '';
  return /^(?:flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0] ?? '';
}

/**
 * @param {string} root
 * @param {NativeAddon} addon
 * @param {import('./system_library.mjs').LibraryFolders} library
 */
function signatureOf(root, addon, library) {
  const hash = createHash('sha256');
  hash.update([...FLAGS, ...addon.flags].join(' ')).update(processorFeatures());
  hash.update(library.folder).update(library.version);
  for (const source of sourcesOf(root, addon)) {
    hash.update(basename(source)).update(readFileSync(source));
  }
  return hash.digest('hex');
}

/**
 * @param {string} root the project's folder
 * @param {NativeAddon} addon
 */
export function nativeBuilt(root, addon) {
  const places = nativePlaces(root, addon);
  const library = findLibrary(addon.library, process.env);
  return (
    library !== undefined &&
    existsSync(places.addon) &&
    existsSync(places.stamp) &&
    readFileSync(places.stamp, 'utf8') === signatureOf(root, addon, library)
  );
}

/**
 * @param {string} root the project's folder
 * @param {NativeAddon} addon
 * @throws {Unavailable} without its library or a C++ compiler
 */
export async function buildNative(root, addon) {
  const compiler = findCompiler(process.env['CXX']);
  if (compiler === undefined) {
    throw new Unavailable('a C++ compiler is missing: sudo apt-get install g++');
  }
  const library = await prepareLibrary(addon.library, process.env);
  const { folder, objects, stamp, addon: target } = nativePlaces(root, addon);
  mkdirSync(folder, { recursive: true });
  rmSync(stamp, { force: true });
  await timed(addon.progress, () =>
    compileNative(root, addon, { compiler, library, objects, target }),
  );
  rmSync(objects, { recursive: true });
  writeWhole(stamp, signatureOf(root, addon, library));
}

/**
 * @param {string} root
 * @param {NativeAddon} addon
 * @param {object} options
 * @param {string} options.compiler
 * @param {import('./system_library.mjs').LibraryFolders} options.library
 * @param {string[]} [options.moreFlags] for compiling and linking
 * @param {string} options.objects folder for object files
 * @param {string} options.target file of the addon, put into place when it is whole
 */
export async function compileNative(root, addon, options) {
  const { compiler, library, moreFlags = [], objects, target } = options;
  rmSync(objects, { recursive: true, force: true });
  mkdirSync(objects, { recursive: true });
  const apiHeaders = createRequire(import.meta.url).resolve('node-api-headers/package.json');
  // Not -isystem, which would put /usr/include before the C++ library's own headers.
  const include = [join(dirname(apiHeaders), 'include'), ...library.include].map(
    (folder) => `-I${folder}`,
  );
  const flags = [...FLAGS, ...addon.flags, ...moreFlags];
  const sources = sourcesOf(root, addon).filter((source) => source.endsWith('.cc'));
  const objectOf = (/** @type {string} */ source) => join(objects, `${basename(source)}.o`);
  const waiting = [...sources];
  const compileWaiting = async () => {
    for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
      await run(compiler, [...flags, ...include, '-c', source, '-o', objectOf(source)]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, compileWaiting));
  const partial = `${target}.partial-${process.pid}`;
  await run(compiler, [
    '-shared',
    ...flags,
    ...sources.map(objectOf),
    join(library.folder, addon.library.file),
    `-Wl,-rpath-link,${library.folder}`,
    // An old-style rpath also serves the library's own dependencies.
    `-Wl,--disable-new-dtags,-rpath,${library.folder}`,
    // Node unloads an addon with its last worker thread, when OpenMP's threads may still run.
    '-Wl,-z,nodelete',
    '-o',
    partial,
  ]);
  renameSync(partial, target);
}
