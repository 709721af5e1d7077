/**
 * Set-up: npm packages, TensorFlow's library, the addons, the TypeScript build. Each step does nothing
 * where its result is in place, and a step that was cut off is done again.
 *
 * As a program (`npm run setup`, `npm test`) it tries everything afresh. `npm start` calls `setUp` first,
 * which does not try TensorFlow again where it failed for a reason that still holds: the command line
 * falls back to another backend with one warning that repeats the reason, kept in `lib/.unavailable` of
 * the tfjs-node-gpu package.
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
import { endChildrenOnSignals, say } from './subprocess.mjs';
import { buildTypescript } from './typescript.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** @param {{ retry: boolean }} options retry: try TensorFlow again though nothing changed since it failed */
export async function setUp({ retry }) {
  const stop = endChildrenOnSignals();
  try {
    await installDependencies(ROOT);
    await prepareTensorflow(retry);
    await buildTypescript(ROOT);
  } finally {
    stop();
  }
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
  if (!retry && existsSync(record)) {
    if (JSON.parse(readFileSync(record, 'utf8')).circumstances === circumstances) return;
  }
  rmSync(record, { force: true });
  try {
    if (process.platform !== 'linux') throw new Unavailable('TensorFlow is prepared on Linux only');
    await prepareLibtensorflow(packageFolder, process.env, variant);
    await buildAddons(ROOT, packageFolder);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    say(`no TensorFlow backend: ${reason}`);
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
