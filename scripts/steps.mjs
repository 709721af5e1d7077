/**
 * Set-up: npm packages, the project's own addons with oneDNN, libjpeg-turbo and, where there is one, MPI, the
 * TypeScript build, NVIDIA's libraries where there is a driver and, if it is wanted, TensorFlow. Each step does nothing if its result is in place, and a step
 * that was cut off is done again. One process at a time sets up a checkout.
 *
 * The program can do without the addons and TensorFlow. If one of them cannot be prepared, the command line
 * falls back to another backend, or decodes with sharp, and repeats the reason in one warning. The reason is
 * kept in `native/build/.NAME.unavailable`, and the part is not tried again until its circumstances change.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addonsBuilt, buildAddons, findCompiler, placesIn } from './addons.mjs';
import { attemptOf } from './attempt.mjs';
import {
  cudaLibrariesFound,
  hasNvidiaDriver,
  prepareCudaLibraries,
  searchOf,
  systemFolders,
} from './cuda_libraries.mjs';
import {
  dependenciesInstalled,
  installDependencies,
  installTfjsNode,
  tfjsNodeFolder,
} from './dependencies.mjs';
import {
  hasPip,
  libtensorflowReady,
  prepareLibtensorflow,
  wantedVariant,
} from './libtensorflow.mjs';
import { withLock } from './lock.mjs';
import {
  BACKEND_ADDON,
  buildNative,
  CUDA_ADDON,
  JPEG_ADDON,
  nativeBuilt,
  nativePlaces,
  prebuiltLoads,
} from './native_addon.mjs';
import { MPI_ADDONS } from './mpi.mjs';
import { endChildrenOnSignals, say } from './subprocess.mjs';
import { buildTypescript, typescriptBuilt } from './typescript.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * @typedef {object} Step
 * @property {() => boolean} isDone
 * @property {() => Promise<void>} take
 */

/**
 * Sets up a checkout, or what an installed package lacks.
 * @param {{ all: boolean }} options all: also what only tests need, TensorFlow, and again what failed before
 */
export async function setUp({ all }) {
  const dependencies = {
    isDone: () => dependenciesInstalled(ROOT, all),
    take: async () => {
      const fetched = fetchLibraries();
      try {
        await installDependencies(ROOT, all);
      } finally {
        await fetched;
      }
    },
  };
  const typescript = {
    isDone: () => typescriptBuilt(ROOT, all),
    take: () => buildTypescript(ROOT, all),
  };
  await takeSteps([
    [dependencies],
    [...ownAddons(all), ...(all ? [tensorflow(true)] : []), typescript],
    all ? cudaLibraries(true) : [],
  ]);
}

/**
 * Prepares what the library's `train` and its like compute with: all but npm packages and TypeScript.
 * @param {{ backend?: string, cpu?: number }} devices as a caller of the library gives them
 */
export async function prepareEngine({ backend, cpu }) {
  const mayUseGpus = cpu === undefined && (backend === undefined || backend === 'native');
  await takeSteps([
    ownAddons(false),
    backend === 'tensorflow' ? [tensorflow(false)] : [],
    mayUseGpus ? cudaLibraries(false) : [],
  ]);
}

/**
 * Ends the process after set-up has failed.
 * @param {unknown} error
 */
export function endSetUp(error) {
  say(error instanceof Error ? error.message : String(error));
  process.exit(1);
}

/**
 * @param {Step[][]} groups one after another; those of a group at the same time
 * @throws {unknown} what the first step that fails does, once the others of its group have ended
 */
async function takeSteps(groups) {
  if (groups.flat().every(({ isDone }) => isDone())) return;
  const stop = endChildrenOnSignals();
  try {
    await withLock(join(ROOT, '.cache', 'set-up.lock'), async () => {
      for (const steps of groups) {
        const undone = steps.filter(({ isDone }) => !isDone());
        const ends = await Promise.allSettled(undone.map(({ take }) => take()));
        for (const end of ends) if (end.status === 'rejected') throw end.reason;
      }
    });
  } finally {
    stop();
  }
}

/** Fetches the addons' libraries. If that fails, the addon's own step tries again, and says why. */
async function fetchLibraries() {
  if (process.platform !== 'linux' || findCompiler(process.env['CXX']) === undefined) return;
  for (const { library } of [BACKEND_ADDON, JPEG_ADDON]) {
    await library.prepare(process.env).catch(() => {});
  }
}

/**
 * @param {boolean} retry
 * @returns {Step[]}
 */
function ownAddons(retry) {
  return [
    ownAddon(BACKEND_ADDON, 'no native backend', retry),
    ownAddon(JPEG_ADDON, 'sharp decodes JPEGs, four times slower', retry),
    // Without a driver only tests need it.
    ...(retry || hasNvidiaDriver(process.env)
      ? [ownAddon(CUDA_ADDON, 'no native backend on GPUs', retry)]
      : []),
    ...MPI_ADDONS.filter(({ library }) => library.find(process.env) !== undefined).map((addon) =>
      ownAddon(addon, 'no training on many hosts', retry),
    ),
  ];
}

/**
 * @param {import('./native_addon.mjs').NativeAddon} addon
 * @param {string} without what follows if it cannot be built
 * @param {boolean} retry
 */
function ownAddon(addon, without, retry) {
  const { addon: file, unavailable } = nativePlaces(ROOT, addon);
  const { CXX } = process.env;
  const part = {
    without,
    isReady: () =>
      nativeBuilt(ROOT, addon) ||
      (![file, unavailable].some(existsSync) && prebuiltLoads(ROOT, addon)),
    addon: file,
    record: unavailable,
    circumstances: () => [
      CXX,
      findCompiler(CXX),
      addon.library.find(process.env),
      prebuiltLoads(ROOT, addon),
    ],
    prepare: async () => {
      if (!prebuiltLoads(ROOT, addon)) await buildNative(ROOT, addon);
    },
  };
  return attemptOf(part, retry);
}

/**
 * None where there is no driver.
 * @param {boolean} retry
 * @returns {Step[]}
 */
function cudaLibraries(retry) {
  if (!hasNvidiaDriver(process.env)) return [];
  const inBuild = (/** @type {string} */ name) => join(ROOT, 'native', 'build', name);
  const stamp = inBuild('.cuda_libraries.found');
  const part = {
    without: 'no native backend on GPUs',
    isReady: () => cudaLibrariesFound(process.env, stamp),
    addon: '',
    record: inBuild('.cuda_libraries.unavailable'),
    circumstances: () => [searchOf(process.env), hasPip()],
    prepare: async () => {
      // Imported here, because set-up builds it first.
      const addon = new URL('../dist/src/backend/native/cuda_addon.js', import.meta.url).href;
      const { libraryFolders } = await import(addon);
      const folders = () => [...libraryFolders(process.env), ...systemFolders(process.env)];
      await prepareCudaLibraries(process.env, folders, stamp);
    },
  };
  return [attemptOf(part, retry)];
}

/**
 * @param {boolean} retry
 * @returns {Step}
 */
function tensorflow(retry) {
  const step = () => {
    const packageFolder = tfjsNodeFolder(ROOT);
    const variant = wantedVariant();
    const { LIBTENSORFLOW, CXX } = process.env;
    const part = {
      without: 'no TensorFlow backend',
      isReady: () =>
        packageFolder !== undefined &&
        libtensorflowReady(packageFolder, process.env, variant) &&
        addonsBuilt(ROOT, packageFolder),
      addon: packageFolder === undefined ? '' : placesIn(packageFolder).devicePin,
      record: join(ROOT, 'native', 'build', '.tensorflow.unavailable'),
      circumstances: () => [
        LIBTENSORFLOW,
        CXX,
        variant,
        findCompiler(CXX),
        hasPip(),
        packageFolder,
      ],
      prepare: async () => {
        if (packageFolder === undefined) await installTfjsNode(ROOT);
        const installed = /** @type {string} */ (tfjsNodeFolder(ROOT));
        await prepareLibtensorflow(installed, process.env, variant);
        await buildAddons(ROOT, installed);
      },
    };
    return attemptOf(part, retry);
  };
  return { isDone: () => step().isDone(), take: () => step().take() };
}
