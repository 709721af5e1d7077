/**
 * NVIDIA's libraries that the native backend opens on GPUs: NVRTC, cuBLASLt and cuDNN. If there is a driver and one of them is
 * missing, pip fetches all three into `${XDG_CACHE_HOME:-~/.cache}/twotower/cuda-libraries`, where `libraryFolders` in
 * src/backend/native/cuda_addon.ts looks too. nvJPEG, which GPUs decode JPEGs with, is fetched beside them, into
 * `cuda-nvjpeg`. The program can do without it, so if that fails, one line says so.
 *
 * A stamp has the files that were found, and what decided where to look. While all are the same, nothing is looked for again.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './cache.mjs';
import { makeWhole, writeWhole } from './files.mjs';
import { hasPip, Unavailable } from './libtensorflow.mjs';
import { run, say, timed } from './subprocess.mjs';

/** As in src/backend/backend.ts: a driver on Linux and in a container, and in Windows' Linux. */
const DRIVER_TRACES = ['/dev/nvidiactl', '/usr/lib/wsl/lib/libcuda.so.1'];

/** Where distributions and images with the CUDA toolkit have libraries. */
const SYSTEM_FOLDERS = ['/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib/wsl/lib'];

/** Python: prints the CUDA version of the driver in the file, e.g. 13000. */
const ASK_DRIVER = `
import ctypes, sys
version = ctypes.c_int()
if ctypes.CDLL(sys.argv[1]).cuDriverGetVersion(ctypes.byref(version)) == 0: print(version.value)
`;

/** @param {NodeJS.ProcessEnv} environment */
export function hasNvidiaDriver(environment) {
  return [...DRIVER_TRACES, ...namedDriver(environment)].some((path) => existsSync(path));
}

/** @param {NodeJS.ProcessEnv} environment */
function namedDriver({ TWOTOWER_CUDA: folder }) {
  return folder === undefined ? [] : [join(folder, 'libcuda.so.1')];
}

/**
 * @param {NodeJS.ProcessEnv} environment
 * @param {string} stamp
 */
export function cudaLibrariesFound(environment, stamp) {
  if (!existsSync(stamp)) return false;
  /** @type {{ search: string, files: string[] }} */
  const { search, files } = JSON.parse(readFileSync(stamp, 'utf8'));
  return search === searchOf(environment) && files.every((file) => existsSync(file));
}

/**
 * What decides where libraries are looked for, in one text.
 * @param {NodeJS.ProcessEnv} environment
 */
export function searchOf({ TWOTOWER_CUDA, VIRTUAL_ENV, HOME, XDG_CACHE_HOME, LD_LIBRARY_PATH }) {
  const places = [TWOTOWER_CUDA, VIRTUAL_ENV, HOME, XDG_CACHE_HOME, LD_LIBRARY_PATH];
  return JSON.stringify([...places, 'nvJPEG too']);
}

/**
 * Finds the libraries, or fetches them.
 * @param {NodeJS.ProcessEnv} environment
 * @param {() => string[]} folders those in which they may be, that of `fetchLibraries` included
 * @param {string} stamp file that is written once all are there
 * @throws {Unavailable} if they are missing and cannot be fetched, with pip's command
 */
export async function prepareCudaLibraries(environment, folders, stamp) {
  const major = driverMajor(environment) ?? 13;
  if (filesIn(folders(), major) === undefined) {
    refuseIncomplete(environment, major);
    await fetchLibraries(environment, major);
  }
  const files = filesIn(folders(), major);
  if (files === undefined) {
    throw new Unavailable(`NVIDIA's packages lack a library: ${commandFor(major)}`);
  }
  await fetchNvJpeg(environment, folders(), major);
  writeWhole(stamp, JSON.stringify({ search: searchOf(environment), files }));
}

/**
 * Whoever names a folder with some of the libraries chooses them: others are not fetched beside those.
 * @param {NodeJS.ProcessEnv} environment
 * @param {number} major
 * @throws {Unavailable}
 */
function refuseIncomplete(environment, major) {
  if (!namesLibraries(environment, major)) return;
  throw new Unavailable(
    `the folder that TWOTOWER_CUDA names has only some of NVIDIA's libraries: ${commandFor(major)} brings all; then unset it`,
  );
}

/**
 * Whether the folder that `TWOTOWER_CUDA` names has libraries beside the driver.
 * @param {NodeJS.ProcessEnv} environment
 * @param {number} major
 */
function namesLibraries({ TWOTOWER_CUDA: named }, major) {
  const names = namesOf(major).flat();
  return named !== undefined && names.some((name) => existsSync(join(named, name)));
}

/**
 * Whether the driver is for CUDA 13, or 12; undefined if nobody can say.
 * @param {NodeJS.ProcessEnv} environment
 */
function driverMajor(environment) {
  const [driver = 'libcuda.so.1'] = namedDriver(environment).filter((path) => existsSync(path));
  const { stdout } = spawnSync('python3', ['-c', ASK_DRIVER, driver], {
    encoding: 'utf8',
    env: environment,
  });
  const version = Number(stdout);
  return version > 0 ? Math.floor(version / 1000) : undefined;
}

/**
 * The names of each library, of which one is needed.
 * @param {number} major of the driver's CUDA
 */
function namesOf(major) {
  const ofCuda = ['libnvrtc', 'libcublasLt'].map((library) => versionedNames(library, major));
  return [...ofCuda, ['libcudnn.so.9']];
}

/**
 * @param {string} library
 * @param {number} major
 */
function versionedNames(library, major) {
  return (major >= 13 ? [13, 12] : [12]).map((version) => `${library}.so.${version}`);
}

/**
 * A file of each library; undefined if one is in none of the folders.
 * @param {string[]} folders
 * @param {number} major
 */
function filesIn(folders, major) {
  const files = namesOf(major).map((names) =>
    folders.flatMap((folder) => names.map((name) => join(folder, name))).find(existsSync),
  );
  return files.every((file) => file !== undefined) ? files : undefined;
}

/**
 * Folders in which the system's loader may look.
 * @param {NodeJS.ProcessEnv} environment
 */
export function systemFolders({ LD_LIBRARY_PATH = '' }) {
  return [...LD_LIBRARY_PATH.split(':').filter((folder) => folder !== ''), ...SYSTEM_FOLDERS];
}

/**
 * NVIDIA's packages, as pip names them: those of CUDA 12 have its number.
 * @param {number} major
 */
function packagesFor(major) {
  return major >= 13
    ? ['nvidia-cuda-nvrtc==13.*', 'nvidia-cublas==13.*', 'nvidia-cudnn-cu13==9.*']
    : ['nvidia-cuda-nvrtc-cu12==12.*', 'nvidia-cublas-cu12==12.*', 'nvidia-cudnn-cu12==9.*'];
}

/** @param {number} major */
function commandFor(major) {
  const packages = packagesFor(major).map((name) => `'${name}'`);
  return `python3 -m pip install --user ${packages.join(' ')}`;
}

/**
 * @param {NodeJS.ProcessEnv} environment
 * @param {number} major
 */
async function fetchLibraries(environment, major) {
  if (!hasPip()) {
    throw new Unavailable(
      `NVIDIA's libraries are missing, and pip too: sudo apt-get install python3-pip, then ${commandFor(major)}`,
    );
  }
  const folder = cacheFolder('cuda-libraries', environment);
  const isWhole = () => filesIn(librariesIn(folder), major) !== undefined;
  try {
    await makeWhole(folder, isWhole, (partial) =>
      timed("fetching NVIDIA's libraries (about 1 GB)", () => install(packagesFor(major), partial)),
    );
  } catch (error) {
    throw new Unavailable(
      `NVIDIA's libraries cannot be fetched (${firstLineOf(error)}): ${commandFor(major)}`,
    );
  }
}

/**
 * Fetches nvJPEG if it is in none of the folders, unless somebody has named a folder of libraries. Never fails.
 * @param {NodeJS.ProcessEnv} environment
 * @param {string[]} folders
 * @param {number} major
 */
async function fetchNvJpeg(environment, folders, major) {
  const names = versionedNames('libnvjpeg', major);
  const isIn = (/** @type {string[]} */ places) =>
    places.some((place) => names.some((name) => existsSync(join(place, name))));
  if (isIn(folders) || namesLibraries(environment, major)) return;
  const folder = cacheFolder('cuda-nvjpeg', environment);
  const wanted = major >= 13 ? 'nvidia-nvjpeg==13.*' : 'nvidia-nvjpeg-cu12==12.*';
  try {
    await makeWhole(
      folder,
      () => isIn(librariesIn(folder)),
      (partial) => timed('fetching nvJPEG', () => install([wanted], partial)),
    );
  } catch (error) {
    say(
      `nvJPEG cannot be fetched (${firstLineOf(error)}), so the CPU decodes JPEGs: python3 -m pip install --user '${wanted}'`,
    );
  }
}

/**
 * Folders of libraries in a folder into which pip has installed NVIDIA's packages.
 * @param {string} target
 */
function librariesIn(target) {
  const packages = join(target, 'nvidia');
  return existsSync(packages)
    ? readdirSync(packages).map((name) => join(packages, name, 'lib'))
    : [];
}

/**
 * @param {string[]} packages
 * @param {string} target folder
 */
async function install(packages, target) {
  const words = ['--no-cache-dir', '--disable-pip-version-check', '--only-binary=:all:'];
  await run('python3', ['-m', 'pip', 'install', ...words, '--target', target, ...packages]);
}

/** @param {unknown} error */
function firstLineOf(error) {
  return error instanceof Error ? error.message.split('\n')[0] : String(error);
}
