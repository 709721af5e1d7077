/**
 * The native backend's addon, `native/build/twotower.node`, compiled from native/*.cc by calling the C++
 * compiler with the headers of the node-api-headers package, for the processor of this machine.
 *
 * `native/build/.built` says from what it was built, and for which processor.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { findCompiler } from './addons.mjs';
import { writeWhole } from './files.mjs';
import { Unavailable } from './libtensorflow.mjs';
import { findOneDnn, prepareOneDnn } from './onednn.mjs';
import { run, timed } from './subprocess.mjs';

const FLAGS = [
  '-std=c++17',
  '-O3',
  '-march=native',
  // Square roots and comparisons then become vectors; results stay the same.
  '-fno-math-errno',
  '-fno-trapping-math',
  '-fopenmp',
  '-fPIC',
  '-fvisibility=hidden',
  '-DNAPI_VERSION=8',
];

/** @param {string} root the project's folder */
export function nativePlaces(root) {
  const folder = join(root, 'native', 'build');
  return {
    folder,
    addon: join(folder, 'twotower.node'),
    stamp: join(folder, '.built'),
    unavailable: join(folder, '.unavailable'),
  };
}

/**
 * Sources of the addon; device_pin.cc is another's.
 * @param {string} root
 */
function sourcesOf(root) {
  const folder = join(root, 'native');
  return readdirSync(folder)
    .filter((name) => /\.(cc|h)$/.test(name) && name !== 'device_pin.cc')
    .sort()
    .map((name) => join(folder, name));
}

/** What the processor can do, as Linux lists it. */
function processorFeatures() {
  if (!existsSync('/proc/cpuinfo')) return '';
  return /^(?:flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0] ?? '';
}

/**
 * @param {string} root
 * @param {import('./onednn.mjs').OneDnn} oneDnn
 */
function signatureOf(root, oneDnn) {
  const hash = createHash('sha256').update(FLAGS.join(' ')).update(processorFeatures());
  hash.update(oneDnn.library);
  hash.update(readFileSync(join(oneDnn.include, 'oneapi', 'dnnl', 'dnnl_version.h')));
  for (const source of sourcesOf(root)) hash.update(basename(source)).update(readFileSync(source));
  return hash.digest('hex');
}

/** @param {string} root the project's folder */
export function nativeBuilt(root) {
  const { addon, stamp } = nativePlaces(root);
  const oneDnn = findOneDnn(process.env);
  return (
    oneDnn !== undefined &&
    existsSync(addon) &&
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === signatureOf(root, oneDnn)
  );
}

/**
 * @param {string} root the project's folder
 * @throws {Unavailable} without oneDNN or a C++ compiler
 */
export async function buildNative(root) {
  if (nativeBuilt(root)) return;
  const compiler = findCompiler(process.env['CXX']);
  if (compiler === undefined) {
    throw new Unavailable('a C++ compiler is missing: sudo apt-get install g++');
  }
  const oneDnn = await prepareOneDnn(process.env);
  const { folder, addon, stamp } = nativePlaces(root);
  mkdirSync(folder, { recursive: true });
  rmSync(stamp, { force: true });
  await timed('compiling the native addon (about half a minute)', () =>
    compileNative(root, compiler, oneDnn, [], join(folder, 'objects'), addon),
  );
  rmSync(join(folder, 'objects'), { recursive: true });
  writeWhole(stamp, signatureOf(root, oneDnn));
}

/**
 * @param {string} root
 * @param {string} compiler
 * @param {import('./onednn.mjs').OneDnn} oneDnn
 * @param {string[]} moreFlags for compiling and linking
 * @param {string} objects folder for what comes between
 * @param {string} target the addon, put into place when it is whole
 */
export async function compileNative(root, compiler, oneDnn, moreFlags, objects, target) {
  rmSync(objects, { recursive: true, force: true });
  mkdirSync(objects, { recursive: true });
  const apiHeaders = createRequire(import.meta.url).resolve('node-api-headers/package.json');
  const include = ['-I', join(dirname(apiHeaders), 'include'), '-isystem', oneDnn.include];
  const sources = sourcesOf(root).filter((source) => source.endsWith('.cc'));
  const objectOf = (/** @type {string} */ source) => join(objects, `${basename(source)}.o`);
  const waiting = [...sources];
  const compileWaiting = async () => {
    for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
      const output = ['-c', source, '-o', objectOf(source)];
      await run(compiler, [...FLAGS, ...moreFlags, ...include, ...output], { quiet: true });
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, compileWaiting));
  const partial = `${target}.partial-${process.pid}`;
  await run(
    compiler,
    [
      ...['-shared', '-fopenmp', ...moreFlags, ...sources.map(objectOf)],
      ...['-L', oneDnn.library, '-ldnnl', `-Wl,-rpath-link,${oneDnn.library}`],
      // An old-style rpath also serves oneDNN's own dependencies.
      `-Wl,--disable-new-dtags,-rpath,${oneDnn.library}`,
      // Node unloads an addon with its last worker thread, while OpenMP's threads are still there.
      '-Wl,-z,nodelete',
      ...['-o', partial],
    ],
    { quiet: true },
  );
  renameSync(partial, target);
}
