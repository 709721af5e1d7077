/** Compiles fft_check.cc, with the convolutions through the frequency domain that it compares, and runs it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { BACKEND_ADDON } from './native_addon.mjs';
import { run } from './subprocess.mjs';

const NATIVE = join(dirname(import.meta.dirname), 'native');

/** The addon's flags, but for the processor. */
const FLAGS = [
  '-std=c++17',
  '-O3',
  ...BACKEND_ADDON.flags.filter((flag) => !flag.startsWith('-march')),
];

/**
 * @param {string} compiler
 * @param {string[]} flags for the processor or a sanitizer
 * @param {string} folder for the program and its objects
 * @returns {Promise<string>} the program's path
 */
export async function compileCheck(compiler, flags, folder) {
  mkdirSync(folder, { recursive: true });
  const sources = [
    join(import.meta.dirname, 'fft_check.cc'),
    join(NATIVE, 'geometry.cc'),
    join(NATIVE, 'cpu', 'scratch.cc'),
    ...readdirSync(join(NATIVE, 'cpu'))
      .filter((name) => /^fft_.*\.cc$/.test(name))
      .map((name) => join(NATIVE, 'cpu', name)),
  ];
  const objectOf = (/** @type {string} */ source) => join(folder, `${basename(source)}.o`);
  const waiting = [...sources];
  const compileWaiting = async () => {
    for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
      await run(compiler, [...FLAGS, ...flags, '-c', source, '-o', objectOf(source)]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, compileWaiting));
  const program = join(folder, 'fft_check');
  await run(compiler, [...FLAGS, ...flags, ...sources.map(objectOf), '-o', program]);
  return program;
}

/**
 * @typedef {object} Comparison
 * @property {number} lanes numbers of a vector
 * @property {number} shapes
 * @property {number} oddBatches how many of the shapes had one
 * @property {number} largestBatch
 * @property {number | null} worstError relative, in norm; null if it is not finite
 * @property {Record<string, number>} sizes how many shapes each size of a transform computed
 */

/**
 * The object that the program prints; undefined if it failed.
 * @param {string[]} command the program, or an emulator and the program, with its arguments
 * @param {NodeJS.ProcessEnv} [environment]
 */
export function resultOf([program, ...programArguments], environment = {}) {
  const { status, stdout } = spawnSync(/** @type {string} */ (program), programArguments, {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });
  return status === 0 ? JSON.parse(stdout) : undefined;
}
