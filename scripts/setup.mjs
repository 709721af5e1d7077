/**
 * Set-up: npm packages, TensorFlow's library, oneDNN, libjpeg-turbo, the addons, the TypeScript build. Each
 * step does nothing where its result is in place, and a step that was cut off is done again.
 *
 * As a program (`npm run setup`, `npm test`) it tries everything afresh. `npm start` calls `setUp` first,
 * which does not try again what failed for a reason that still holds: the command line falls back to another
 * backend with one warning that repeats the reason, and sharp decodes all images. The reason is kept in a
 * file `.unavailable`: in `lib/` of the tfjs-node-gpu package, in `native/build/` for the project's own addons;
 * an addon of before is removed.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addonsBuilt, buildAddons, findCompiler, placesIn } from './addons.mjs';
import { attempt } from './attempt.mjs';
import { installDependencies } from './dependencies.mjs';
import {
  hasPip,
  libtensorflowReady,
  prepareLibtensorflow,
  wantedVariant,
} from './libtensorflow.mjs';
import {
  BACKEND_ADDON,
  buildNative,
  JPEG_ADDON,
  nativeBuilt,
  nativePlaces,
} from './native_addon.mjs';
import { endChildrenOnSignals, say } from './subprocess.mjs';
import { findLibrary } from './system_library.mjs';
import { buildTypescript } from './typescript.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** @param {{ retry: boolean }} options retry: try again though nothing changed since it failed */
export async function setUp({ retry }) {
  const stop = endChildrenOnSignals();
  try {
    await installDependencies(ROOT);
    await prepareBackendsAndDecoder(retry);
    await buildTypescript(ROOT);
  } finally {
    stop();
  }
}

/** All but packages and TypeScript, for a program that imports the installed package. */
export async function prepareInstalled() {
  const stop = endChildrenOnSignals();
  try {
    await prepareBackendsAndDecoder(false);
  } finally {
    stop();
  }
}

/** @param {boolean} retry */
async function prepareBackendsAndDecoder(retry) {
  await prepareTensorflow(retry);
  await prepareNative(BACKEND_ADDON, 'no native backend', retry);
  await prepareNative(JPEG_ADDON, 'sharp decodes JPEGs, four times slower', retry);
}

/** @param {boolean} retry */
async function prepareTensorflow(retry) {
  const packageFolder = dirname(
    createRequire(import.meta.url).resolve('@tensorflow/tfjs-node-gpu/package.json'),
  );
  const variant = wantedVariant();
  if (libtensorflowReady(packageFolder, process.env, variant) && addonsBuilt(ROOT, packageFolder)) {
    return;
  }
  const { LIBTENSORFLOW, CXX } = process.env;
  const part = {
    without: 'no TensorFlow backend',
    addon: placesIn(packageFolder).devicePin,
    record: join(packageFolder, 'lib', '.unavailable'),
    circumstances: () => [LIBTENSORFLOW, CXX, variant, findCompiler(CXX), hasPip()],
  };
  await attempt(part, retry, async () => {
    await prepareLibtensorflow(packageFolder, process.env, variant);
    await buildAddons(ROOT, packageFolder);
  });
}

/**
 * @param {import('./native_addon.mjs').NativeAddon} addon
 * @param {string} without what follows where it cannot be built
 * @param {boolean} retry
 */
async function prepareNative(addon, without, retry) {
  if (nativeBuilt(ROOT, addon)) return;
  const { addon: file, unavailable: record } = nativePlaces(ROOT, addon);
  const { CXX } = process.env;
  const libraryFolder = () => findLibrary(addon.library, process.env)?.folder;
  const circumstances = () => [CXX, findCompiler(CXX), libraryFolder()];
  const part = { without, addon: file, record, circumstances };
  await attempt(part, retry, () => buildNative(ROOT, addon));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await setUp({ retry: true });
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
