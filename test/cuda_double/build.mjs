/**
 * `node test/cuda_double/build.mjs [address|thread]`: compiles the test double of NVIDIA's libraries with the kernels of
 * native/cuda/kernels, and prints the folder in which it then is. With an argument, it is compiled with that sanitizer, into
 * another folder. What did not change is not compiled again.
 *
 * The folder has the libraries under the names by which programs open them, `kernels.cu` (the text that NVRTC is to
 * be given) and the program `self_test`.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCompiler } from '../../scripts/addons.mjs';
import { writeWhole } from '../../scripts/files.mjs';
import { withLock } from '../../scripts/lock.mjs';
import { run } from '../../scripts/subprocess.mjs';
import { LIBJPEG_TURBO, prepareLibrary } from '../../scripts/system_library.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(dirname(HERE));
const KERNELS = join(ROOT, 'native', 'cuda', 'kernels');

const LIBRARY = 'libtwotower_cuda_double.so';

/** The names of NVIDIA's libraries; all of them are this one. */
const NAMES = [
  'libcuda.so.1',
  'libnvrtc.so.13',
  'libnvrtc-builtins.so.13.0',
  'libcublasLt.so.13',
  'libcudnn.so.9',
  'libnvjpeg.so.13',
  'libnccl.so.2',
];

const FLAGS = [
  '-std=c++17',
  '-O3',
  '-march=native',
  '-fno-math-errno',
  '-fno-trapping-math',
  '-fPIC',
  '-fvisibility=hidden',
  '-pthread',
  '-Wall',
  '-Wextra',
  `-I${join(ROOT, 'native', 'cuda')}`,
  `-I${HERE}`,
];

/** For the kernels: CUDA reads a number through a pointer of another type, and rounds each operation that is written. */
const KERNEL_FLAGS = [
  '-ffp-contract=off',
  '-fno-strict-aliasing',
  '-Wno-unknown-pragmas',
  '-Wno-unused',
  '-include',
  join(HERE, 'shim.h'),
];

const READABLE = ['-O1', '-g', '-fno-omit-frame-pointer'];

/** @type {Record<string, string[]>} */
const SANITIZERS = {
  address: ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', ...READABLE],
  thread: ['-fsanitize=thread', ...READABLE],
};

/** Files of kernels in the order in which they are compiled together: what they share is first. */
function kernelFiles() {
  const names = readdirSync(KERNELS);
  const shared = ['parameters.h', 'common.cu'].filter((name) => names.includes(name));
  const others = names.filter((name) => name.endsWith('.cu') && !shared.includes(name));
  return [...shared, ...others.sort()].map((name) => join(KERNELS, name));
}

/** The text of all kernels, as NVRTC is given it. */
export function kernelSource() {
  return kernelFiles()
    .map((file) => readFileSync(file, 'utf8'))
    .join('');
}

/** @param {string} [sanitizer] */
export function doubleFolder(sanitizer) {
  const suffix = sanitizer === undefined ? '' : `_${sanitizer}`;
  return join(ROOT, 'native', 'build', `cuda_double${suffix}`);
}

/**
 * Names of the kernels in files of CUDA C++. The preprocessor reads them first, because macros may define kernels.
 * @param {string} compiler
 * @param {string} unit a file that includes them
 */
function kernelNames(compiler, unit) {
  const { stdout, stderr, status } = spawnSync(compiler, ['-E', '-P', '-x', 'c++', unit], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`the kernels cannot be preprocessed:\n${stderr}`);
  const kernel =
    /extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(/g;
  return [...new Set([...stdout.matchAll(kernel)].map(([, name]) => name))];
}

/**
 * Writes the C++ file that includes the kernels and lists them.
 * @param {string} compiler
 * @param {string} folder
 */
function writeKernelUnit(compiler, folder) {
  const files = [...kernelFiles(), join(HERE, 'self_test.cu')];
  const includes = files.map((file) => `#include ${JSON.stringify(file)}\n`).join('');
  const unit = join(folder, 'kernels.cc');
  writeWhole(unit, includes);
  const names = kernelNames(compiler, unit);
  const texts = kernelFiles().map((file) => `R"kernels(${readFileSync(file, 'utf8')})kernels"\n`);
  writeWhole(
    unit,
    `${includes}
namespace cuda_double {
const Kernel kKernels[] = {
${names.map((name) => `    CUDA_DOUBLE_KERNEL(${name}),\n`).join('')}};
const size_t kKernelCount = ${names.length};
const char kKernelSource[] =
${texts.join('')};
}  // namespace cuda_double
`,
  );
  return unit;
}

/** What every object depends on besides its own source: the headers, the compiler and the processor. */
function commonSignature(/** @type {string} */ compiler) {
  const hash = createHash('sha256').update(readFileSync(fileURLToPath(import.meta.url)));
  hash.update(spawnSync(compiler, ['--version'], { encoding: 'utf8' }).stdout);
  if (existsSync('/proc/cpuinfo')) {
    const features = /^(?:flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    hash.update(features?.[0] ?? '');
  }
  const headers = readdirSync(HERE).filter((name) => name.endsWith('.h'));
  for (const header of headers.sort()) hash.update(readFileSync(join(HERE, header)));
  hash.update(readFileSync(join(ROOT, 'native', 'cuda', 'api.h')));
  return hash.digest('hex');
}

/**
 * @param {object} [options]
 * @param {string} [options.sanitizer] address or thread
 * @returns {Promise<string>} the folder of the libraries
 * @throws {Error} without a C++ compiler, or if the kernels do not compile
 */
export async function buildDouble({ sanitizer } = {}) {
  const compiler = findCompiler(process.env['CXX']);
  if (compiler === undefined) {
    throw new Error('a C++ compiler is missing: sudo apt-get install g++');
  }
  const folder = doubleFolder(sanitizer);
  await withLock(`${folder}.lock`, () => compileDouble(compiler, folder, sanitizer));
  return folder;
}

/**
 * @param {string} compiler
 * @param {string} folder
 * @param {string | undefined} sanitizer
 */
async function compileDouble(compiler, folder, sanitizer) {
  const objects = join(folder, 'objects');
  mkdirSync(objects, { recursive: true });
  const kernels = writeKernelUnit(compiler, objects);
  writeWhole(join(folder, 'kernels.cu'), kernelSource());
  const common = commonSignature(compiler);
  const stamp = join(objects, 'built.json');
  /** @type {Record<string, string>} the signature of each source that was compiled */
  const built = existsSync(stamp) ? JSON.parse(readFileSync(stamp, 'utf8')) : {};
  const jpeg = await prepareLibrary(LIBJPEG_TURBO, process.env);
  const include = jpeg.include.map((path) => `-I${path}`);
  const libraries = [join(jpeg.folder, LIBJPEG_TURBO.file), `-Wl,-rpath,${jpeg.folder}`];
  const flags = [...FLAGS, ...(sanitizer === undefined ? [] : (SANITIZERS[sanitizer] ?? []))];
  const sources = readdirSync(HERE)
    .filter((name) => name.endsWith('.cc'))
    .sort()
    .map((name) => join(HERE, name));
  sources.push(kernels);

  let isChanged = false;
  const objectOf = (/** @type {string} */ source) => join(objects, `${basename(source)}.o`);
  for (const source of sources) {
    const hash = createHash('sha256').update(common).update(readFileSync(source));
    if (source === kernels) {
      for (const file of [...kernelFiles(), join(HERE, 'self_test.cu')]) {
        hash.update(readFileSync(file));
      }
    }
    const signature = hash.digest('hex');
    if (built[source] === signature && existsSync(objectOf(source))) continue;
    isChanged = true;
    delete built[source];
    writeWhole(stamp, JSON.stringify(built));
    const more = source === kernels ? KERNEL_FLAGS : include;
    await run(compiler, [...flags, ...more, '-c', source, '-o', objectOf(source)]);
    built[source] = signature;
  }
  const linked = [join(folder, LIBRARY), join(folder, 'self_test')];
  if (isChanged || !linked.every((file) => existsSync(file))) {
    const isTest = (/** @type {string} */ source) => basename(source).startsWith('self_test');
    const parts = sources.filter((source) => !isTest(source)).map(objectOf);
    await link(compiler, ['-shared', ...flags, ...parts, ...libraries], join(folder, LIBRARY));
    const test = sources.filter(isTest).map(objectOf);
    if (test.length > 0) await link(compiler, [...flags, ...test, ...libraries, '-ldl'], linked[1]);
  }
  for (const name of NAMES) {
    const file = join(folder, name);
    if (!existsSync(file)) symlinkSync(LIBRARY, file);
  }
  // Last, so that a build that was cut off is linked again.
  writeWhole(stamp, JSON.stringify(built));
}

/**
 * Puts the result into place when it is whole: a running process may have opened the one before it.
 * @param {string} compiler
 * @param {string[]} inputs
 * @param {string} target
 */
async function link(compiler, inputs, target) {
  const partial = `${target}.partial-${process.pid}`;
  await run(compiler, [...inputs, '-o', partial]);
  renameSync(partial, target);
}

if (resolve(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) {
  const sanitizer = process.argv[2];
  if (sanitizer !== undefined && !(sanitizer in SANITIZERS)) {
    console.error(`${sanitizer} is no sanitizer: use ${Object.keys(SANITIZERS).join(' or ')}`);
    process.exit(2);
  }
  try {
    console.log(await buildDouble({ sanitizer }));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
