/**
 * `npm run test:vectors`: convolutions through the frequency domain in vectors of every width that the sources have:
 * SSE2, AVX2 and AVX-512 on this machine, and NEON under an emulator. Each compares 200 random shapes with float64 and
 * says what it gains over SSE2, in processor time. It needs an x86-64 machine with AVX-512, and for NEON
 *
 *     sudo apt-get install g++-aarch64-linux-gnu qemu-user
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findCompiler } from './addons.mjs';
import { compileCheck, resultOf } from './fft_check.mjs';
import { works } from './subprocess.mjs';

const SHAPES = 200;
const LARGEST_ERROR = 1e-6;

/**
 * @typedef {object} Target
 * @property {string} name
 * @property {string} compiler
 * @property {string[]} flags
 * @property {string[]} emulator the command that runs its programs; empty if this processor does
 * @property {string | undefined} missing what is missing for it, and how to get it
 */

/** @returns {Target[]} */
function targets() {
  const features = new Set(
    /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.split(/\s+/),
  );
  const compiler = findCompiler(process.env['CXX']);
  const own = (
    /** @type {string} */ name,
    /** @type {string} */ level,
    /** @type {string} */ feature,
  ) => ({
    name,
    compiler: compiler ?? '',
    flags: [`-march=${level}`],
    emulator: [],
    missing:
      compiler === undefined
        ? 'a C++ compiler is missing: sudo apt-get install g++'
        : features.has(feature)
          ? undefined
          : `this processor lacks ${feature}: run it on one that has it`,
  });
  const cross = 'aarch64-linux-gnu-g++';
  const emulator = 'qemu-aarch64';
  const packages = [
    ...(works(cross, ['--version']) ? [] : ['g++-aarch64-linux-gnu']),
    ...(works(emulator, ['--version']) ? [] : ['qemu-user']),
  ];
  return [
    own('SSE2', 'x86-64', 'sse2'),
    own('AVX2', 'x86-64-v3', 'avx2'),
    own('AVX-512', 'x86-64-v4', 'avx512f'),
    {
      name: 'NEON, emulated',
      compiler: cross,
      flags: ['-static'],
      emulator: [emulator],
      missing:
        packages.length === 0
          ? undefined
          : `it needs ${packages.join(' and ')}: sudo apt-get install ${packages.join(' ')}`,
    },
  ];
}

/** @type {{ forwardMs: number, filterMs: number } | undefined} */
let baseline;

/**
 * Whether the target's results are right; says so.
 * @param {Target} target
 * @param {string} folder
 */
async function agrees({ name, compiler, flags, emulator, missing }, folder) {
  if (missing !== undefined) {
    console.log(`${name}: not run, ${missing}`);
    return false;
  }
  const program = await compileCheck(compiler, flags, join(folder, name));
  /** @type {import('./fft_check.mjs').Comparison | undefined} */
  const compared = resultOf([...emulator, program, `${SHAPES}`, '1']);
  if (compared === undefined) {
    console.log(`${name}: the program failed`);
    return false;
  }
  const { lanes, oddBatches, largestBatch, worstError, sizes } = compared;
  const untried = Object.keys(sizes).filter((size) => sizes[size] === 0);
  const right = worstError !== null && worstError <= LARGEST_ERROR && untried.length === 0;
  console.log(
    `${name}: ${SHAPES} shapes, ${oddBatches} with odd batches, the largest ${largestBatch}, in vectors of ${lanes}: ` +
      `error at most ${worstError ?? 'not finite'}, ${right ? 'right' : `wrong: more than ${LARGEST_ERROR}, or no shape of size ${untried.join(', ')}`}`,
  );
  if (emulator.length === 0) {
    const times = resultOf([program, 'time']);
    baseline ??= times;
    const gain = (/** @type {'forwardMs' | 'filterMs'} */ pass) =>
      `${times[pass]} ms (${/** @type {any} */ (baseline[pass] / times[pass]).toFixed(2)}×)`;
    console.log(`  forward ${gain('forwardMs')}, by the filter ${gain('filterMs')}`);
  }
  return right;
}

const folder = mkdtempSync(join(tmpdir(), 'twotower-vectors-'));
try {
  for (const target of targets()) {
    if (!(await agrees(target, folder))) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
