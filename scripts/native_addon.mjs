/**
 * The project's own addons: the native backend, on oneDNN, the JPEG decoder, on libjpeg-turbo, and one for each
 * MPI (`mpi.mjs`). They are compiled from native/*.cc for this machine's processor, by calling the C++ compiler
 * with the headers of the node-api-headers package. The published package brings the first two for Linux on x86-64
 * (`prebuilt.mjs`). If they load there, nothing is compiled.
 *
 * `native/build/.NAME.built` has the signature of what an addon was built from, the processor included.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, sep } from 'node:path';
import { findCompiler } from './addons.mjs';
import { writeWhole } from './files.mjs';
import { Unavailable } from './libtensorflow.mjs';
import { run, timed } from './subprocess.mjs';
import { findLibrary, LIBJPEG_TURBO, ONEDNN, prepareLibrary } from './system_library.mjs';

/**
 * The library that an addon is linked with.
 * @typedef {object} AddonLibrary
 * @property {(environment: NodeJS.ProcessEnv) => string | undefined} find where it is and which version, so that
 *   another one is noticed; undefined if it has yet to be prepared
 * @property {(environment: NodeJS.ProcessEnv) => Promise<CompilerFlags>} prepare throws Unavailable if it cannot be had
 */

/**
 * @typedef {object} CompilerFlags
 * @property {string[]} include folders of headers
 * @property {string[]} link the linker's flags
 */

/**
 * @typedef {object} NativeAddon
 * @property {string} name of its file
 * @property {string} progress set-up's line for compiling it
 * @property {(source: string) => boolean} has whether a file, named by its path in native/, is one of its sources
 * @property {AddonLibrary} library
 * @property {string[]} flags for compiling and linking, besides the common ones
 */

const FLAGS = ['-std=c++17', '-O3', '-fPIC', '-fvisibility=hidden', '-DNAPI_VERSION=8'];

/**
 * @param {import('./system_library.mjs').SystemLibrary} library
 * @returns {AddonLibrary}
 */
function system(library) {
  return {
    find: (environment) => {
      const found = findLibrary(library, environment);
      return found && `${found.folder} ${found.version}`;
    },
    prepare: async (environment) => {
      const { include, folder } = await prepareLibrary(library, environment);
      // An old-style rpath also serves the library's own dependencies.
      const rpaths = [`-Wl,-rpath-link,${folder}`, `-Wl,--disable-new-dtags,-rpath,${folder}`];
      return { include, link: [join(folder, library.file), ...rpaths] };
    },
  };
}

const JPEG_SOURCES = [
  'jpeg_decoder.cc',
  'arguments.cc',
  'arguments.h',
  'values.cc',
  'values.h',
  join('cpu', 'device_values.cc'),
];

/**
 * Whether each device's addon has the source.
 * @param {string} source
 */
const isOfEveryDevice = (source) =>
  !source.includes(sep) && !['device_pin.cc', 'jpeg_decoder.cc', 'mpi.cc'].includes(source);

/** @type {NativeAddon} */
export const BACKEND_ADDON = {
  name: 'twotower',
  progress: 'compiling the native addon',
  has: (source) => isOfEveryDevice(source) || source.startsWith('cpu'),
  library: system(ONEDNN),
  flags: [
    '-march=native',
    // These let square roots and comparisons be vectorized; results stay the same.
    '-fno-math-errno',
    '-fno-trapping-math',
    '-fopenmp',
  ],
};

/**
 * The native backend for GPUs. It opens NVIDIA's libraries at run time, so that it can be compiled anywhere.
 * @type {NativeAddon}
 */
export const CUDA_ADDON = {
  name: 'twotower_cuda',
  progress: "compiling the GPUs' addon",
  has: (source) => isOfEveryDevice(source) || source.startsWith('cuda'),
  library: { find: () => 'none', prepare: async () => ({ include: [], link: ['-ldl'] }) },
  flags: [],
};

/** @type {NativeAddon} */
export const JPEG_ADDON = {
  name: 'jpeg_decoder',
  progress: 'compiling the JPEG decoder',
  has: (source) => JPEG_SOURCES.includes(source),
  library: system(LIBJPEG_TURBO),
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
    prebuilt: join(prebuiltFolder(root), `${name}.node`),
  };
}

/** @param {string} root the project's folder */
export const prebuiltFolder = (root) =>
  join(root, 'native', 'prebuilt', `${process.platform}-${process.arch}`);

/**
 * Whether the package brings the addon, and this system can load it.
 * @param {string} root the project's folder
 * @param {NativeAddon} addon
 */
export function prebuiltLoads(root, addon) {
  const { prebuilt } = nativePlaces(root, addon);
  if (!existsSync(prebuilt)) return false;
  try {
    createRequire(import.meta.url)(prebuilt);
    return true;
  } catch {
    return false;
  }
}

/**
 * @param {string} root
 * @param {NativeAddon} addon
 */
function sourcesOf(root, { has }) {
  const folder = join(root, 'native');
  return ['', 'cpu', 'cuda']
    .flatMap((part) => readdirSync(join(folder, part)).map((name) => join(part, name)))
    .filter((name) => /\.(cc|h)$/.test(name) && has(name))
    .sort()
    .map((name) => join(folder, name));
}

/** Sources that take the compiler seconds each. */
const LONG = ['fft_images_large.cc', 'fft_images_small.cc', 'binary.cc', 'reduction.cc'];

/**
 * What the compiler is called for: each long source alone, then files that include eight of the others each. Most of the
 * time for these goes into the headers that they share. The names in their anonymous namespaces must therefore differ.
 * @param {string[]} sources
 * @param {string} folder for those files
 * @returns {string[]} files
 */
function unitsOf(sources, folder) {
  const isLong = (/** @type {string} */ source) => LONG.includes(basename(source));
  const others = sources.filter((source) => !isLong(source));
  const units = sources.filter(isLong);
  for (let first = 0; first < others.length; first += 8) {
    const unit = join(folder, `sources_from_${first}.cc`);
    const lines = others.slice(first, first + 8).map((source) => `#include "${source}"\n`);
    writeFileSync(unit, lines.join(''));
    units.push(unit);
  }
  return units;
}

/** The processor's features, as Linux lists them. */
function processorFeatures() {
  if (!existsSync('/proc/cpuinfo')) return '';
  return /^(?:flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0] ?? '';
}

/**
 * @param {string} root
 * @param {NativeAddon} addon
 * @param {string} library as `AddonLibrary.find` names it
 */
function signatureOf(root, addon, library) {
  const hash = createHash('sha256');
  hash.update([...FLAGS, ...addon.flags].join(' ')).update(processorFeatures());
  hash.update(library);
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
  const library = addon.library.find(process.env);
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
  const library = await addon.library.prepare(process.env);
  const { folder, objects, stamp, addon: target } = nativePlaces(root, addon);
  mkdirSync(folder, { recursive: true });
  rmSync(stamp, { force: true });
  await timed(addon.progress, () =>
    compileNative(root, addon, { compiler, library, objects, target }),
  );
  rmSync(objects, { recursive: true });
  writeWhole(
    stamp,
    signatureOf(root, addon, /** @type {string} */ (addon.library.find(process.env))),
  );
}

/**
 * @param {string} root
 * @param {NativeAddon} addon
 * @param {object} options
 * @param {string} options.compiler
 * @param {CompilerFlags} options.library
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
  const units = unitsOf(
    sourcesOf(root, addon).filter((source) => source.endsWith('.cc')),
    objects,
  );
  const objectOf = (/** @type {string} */ unit) => join(objects, `${basename(unit)}.o`);
  const waiting = [...units];
  const compileWaiting = async () => {
    for (let unit = waiting.shift(); unit !== undefined; unit = waiting.shift()) {
      await run(compiler, [...flags, ...include, '-c', unit, '-o', objectOf(unit)]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, compileWaiting));
  const partial = `${target}.partial-${process.pid}`;
  await run(compiler, [
    '-shared',
    ...flags,
    ...units.map(objectOf),
    ...library.link,
    // Node unloads an addon with its last worker thread, when OpenMP's threads may still run.
    '-Wl,-z,nodelete',
    '-o',
    partial,
  ]);
  renameSync(partial, target);
}
