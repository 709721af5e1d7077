/**
 * The two addons of the TensorFlow backend. They are compiled by calling the C++ compiler with the headers of
 * the node-api-headers package, so that no headers are fetched and one build serves every Node.
 *
 * - `lib/napi-vN/tfjs_binding.node` in the tfjs-node-gpu package, from the source that it ships;
 * - `lib/device_pin.node` there, from native/device_pin.cc. It is put into place last: if it exists, the
 *   backend is whole.
 *
 * `lib/.built` has the signature of what they were built from.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeWhole } from './files.mjs';
import { Unavailable } from './libtensorflow.mjs';
import { run, timed, works } from './subprocess.mjs';

const FLAGS = [
  '-std=c++17',
  '-O2',
  '-fPIC',
  '-DNAPI_VERSION=8',
  '-DNODE_GYP_MODULE_NAME=tfjs_binding',
];

/** @param {string} packageFolder of tfjs-node-gpu */
export function placesIn(packageFolder) {
  /** @type {number[]} */
  const versions = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')).binary
    .napi_versions;
  // As @mapbox/node-pre-gyp chooses when the package asks it for its addon.
  const version = Math.max(...versions.filter((one) => one <= Number(process.versions.napi)));
  return {
    binding: join(packageFolder, 'lib', `napi-v${version}`, 'tfjs_binding.node'),
    devicePin: join(packageFolder, 'lib', 'device_pin.node'),
    stamp: join(packageFolder, 'lib', '.built'),
  };
}

/**
 * @param {string} root the project's folder
 * @param {string} packageFolder
 */
function signatureOf(root, packageFolder) {
  const hash = createHash('sha256').update(readFileSync(fileURLToPath(import.meta.url)));
  hash.update(realpathSync(join(packageFolder, 'deps')));
  hash.update(readFileSync(join(root, 'native', 'device_pin.cc')));
  for (const name of ['tfjs_backend.cc', 'tfjs_binding.cc']) {
    hash.update(readFileSync(join(packageFolder, 'binding', name)));
  }
  return hash.digest('hex');
}

/**
 * @param {string} root the project's folder
 * @param {string} packageFolder of tfjs-node-gpu, with libtensorflow in place
 */
export function addonsBuilt(root, packageFolder) {
  const { binding, devicePin, stamp } = placesIn(packageFolder);
  return (
    [binding, devicePin, stamp].every((file) => existsSync(file)) &&
    readFileSync(stamp, 'utf8') === signatureOf(root, packageFolder)
  );
}

/**
 * @param {string} root the project's folder
 * @param {string} packageFolder of tfjs-node-gpu, with libtensorflow in place
 * @throws {Unavailable} without a C++ compiler
 */
export async function buildAddons(root, packageFolder) {
  const named = process.env['CXX'];
  const compiler = findCompiler(named);
  if (compiler === undefined) {
    throw new Unavailable(
      named
        ? `the C++ compiler CXX=${named} does not run; correct or unset it`
        : 'a C++ compiler is missing: sudo apt-get install g++',
    );
  }
  const { binding, devicePin, stamp } = placesIn(packageFolder);
  const lib = join(packageFolder, 'lib');
  const scratch = join(lib, '.build');
  for (const old of [stamp, devicePin, scratch]) rmSync(old, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  mkdirSync(dirname(binding), { recursive: true });

  const deps = join(packageFolder, 'deps');
  const apiHeaders = createRequire(import.meta.url).resolve('node-api-headers/package.json');
  const include = ['-I', join(dirname(apiHeaders), 'include'), '-I', join(deps, 'include')];
  const bindingFolder = join(packageFolder, 'binding');
  const link = ['-shared', '-L', join(deps, 'lib')];
  const compile = (/** @type {string} */ source, /** @type {string} */ object) =>
    run(compiler, [
      ...FLAGS,
      ...include,
      '-I',
      bindingFolder,
      '-I',
      packageFolder,
      '-c',
      source,
      '-o',
      object,
    ]);

  const patched = join(scratch, 'tfjs_backend.cc');
  writeFileSync(
    patched,
    ownSetPerThread(readFileSync(join(bindingFolder, 'tfjs_backend.cc'), 'utf8')),
  );
  const objects = ['tfjs_backend', 'tfjs_binding', 'device_pin'].map((name) =>
    join(scratch, `${name}.o`),
  );
  const [backendObject, bindingObject, pinObject] = /** @type {[string, string, string]} */ (
    objects
  );
  await timed('compiling the TensorFlow addons', async () => {
    await Promise.all([
      compile(patched, backendObject),
      compile(join(bindingFolder, 'tfjs_binding.cc'), bindingObject),
      compile(join(root, 'native', 'device_pin.cc'), pinObject),
    ]);
    const builtBinding = join(scratch, 'tfjs_binding.node');
    const builtPin = join(scratch, 'device_pin.node');
    const rpath = (/** @type {string} */ path) => `-Wl,-rpath,$ORIGIN/${path}`;
    await run(compiler, [
      backendObject,
      bindingObject,
      ...link,
      '-ltensorflow',
      '-ltensorflow_framework',
      rpath('../../deps/lib'),
      '-o',
      builtBinding,
    ]);
    // It loads libtensorflow itself, so its symbols are bound at the first call.
    await run(compiler, [
      pinObject,
      ...link,
      '-ldl',
      '-Wl,-z,lazy',
      rpath('../deps/lib'),
      '-o',
      builtPin,
    ]);
    renameSync(builtBinding, binding);
    renameSync(builtPin, devicePin);
  });
  rmSync(scratch, { recursive: true });
  writeWhole(stamp, signatureOf(root, packageFolder));
}

/**
 * Gives each thread its own set of attribute names. In the shipped source all worker threads insert into one
 * set at once.
 * @param {string} source
 */
function ownSetPerThread(source) {
  const shared = 'static std::set<std::string> ATTR_NAME_SET;';
  const parts = source.split(shared);
  if (parts.length !== 2) {
    throw new Error(`tfjs_backend.cc: expected one "${shared}", found ${parts.length - 1}`);
  }
  return parts.join(shared.replace('static', 'static thread_local'));
}

/**
 * @param {string | undefined} named $CXX
 * @returns {string | undefined} a C++ compiler that runs
 */
export function findCompiler(named) {
  return (named ? [named] : ['g++', 'c++', 'clang++']).find((program) =>
    works(program, ['--version']),
  );
}
