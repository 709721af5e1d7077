/**
 * Set-up: npm packages, TensorFlow's library, oneDNN, libjpeg-turbo, the addons, the TypeScript build. Each
 * step does nothing where its result is in place, and a step that was cut off is done again.
 *
 * As a program (`npm run setup`, `npm test`) it tries everything afresh. `npm start` calls `setUp` first,
 * which does not try again what failed for a reason that still holds: the command line falls back to another
 * backend with one warning that repeats the reason, and sharp decodes all images. The reason is kept in a
 * file `.unavailable`: in `lib/` of the tfjs-node-gpu package, in `native/build/` for the project's own addons.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addonsBuilt, buildAddons, findCompiler } from './addons.mjs';
import { installDependencies } from './dependencies.mjs';
import { writeWhole } from './files.mjs';
import {
  hasPip,
  libtensorflowReady,
  prepareLibtensorflow,
  Unavailable,
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
  const record = join(packageFolder, 'lib', '.unavailable');
  if (libtensorflowReady(packageFolder, process.env, variant) && addonsBuilt(ROOT, packageFolder)) {
    return;
  }
  // What can change so that another attempt makes sense.
  const { LIBTENSORFLOW, CXX } = process.env;
  const tools = [findCompiler(CXX), hasPip()];
  const circumstances = JSON.stringify([LIBTENSORFLOW, CXX, variant, tools]);
  await attempt('no TensorFlow backend', { record, circumstances, retry }, async () => {
    if (process.platform !== 'linux') throw new Unavailable('TensorFlow is prepared on Linux only');
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
  const { unavailable } = nativePlaces(ROOT, addon);
  const circumstances = JSON.stringify([process.env['CXX'], findCompiler(process.env['CXX'])]);
  await attempt(without, { record: unavailable, circumstances, retry }, async () => {
    if (process.platform !== 'linux') throw new Unavailable('it is built on Linux only');
    await buildNative(ROOT, addon);
  });
}

/**
 * Prepares a part, or records why that cannot be.
 * @param {string} without what follows then
 * @param {{ record: string, circumstances: string, retry: boolean }} options
 * @param {() => Promise<void>} prepare
 */
async function attempt(without, { record, circumstances, retry }, prepare) {
  if (!retry && existsSync(record)) {
    if (JSON.parse(readFileSync(record, 'utf8')).circumstances === circumstances) return;
  }
  rmSync(record, { force: true });
  try {
    await prepare();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    say(`${without}: ${reason}`);
    mkdirSync(dirname(record), { recursive: true });
    writeWhole(record, JSON.stringify({ circumstances, reason: reason.split('\n')[0] }));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await setUp({ retry: true });
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
