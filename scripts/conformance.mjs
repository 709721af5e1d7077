/**
 * `npm run test:conformance [-- native-cuda | cpu]`: runs tfjs-core's published specs on the backend `native`, on its GPU's side
 * or on tfjs's CPU backend, where 4,227 pass and tfjs itself skips 5. Fails if a spec fails that is not excluded below, or if
 * fewer run than pass on the CPU backend.
 *
 * tfjs publishes its specs as modules for a bundler, so esbuild bundles them, with tfjs and our compiled
 * backend, into one file in dist/, which then holds one copy of tfjs.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import jasmineCore from 'jasmine-core';
import { buildDouble } from '../test/cuda_double/build.mjs';

/** Specs that pass on tfjs's CPU backend. */
const CPU_PASSES = 4227;

const NO_LOST_NAN = 'NaN must not vanish in a layer: a network that has diverged would look sound';

/**
 * Specs that may fail: full name → reason.
 * @type {ReadonlyMap<string, string>}
 */
const EXCLUSIONS = new Map([
  ['maxPool native {} [x=[3,3,1] f=[2,2] s=1 ignores NaNs', NO_LOST_NAN],
  ['maxPool native-cuda {} [x=[3,3,1] f=[2,2] s=1 ignores NaNs', NO_LOST_NAN],
  [
    'gather native-cuda {} throws when index is out of bound',
    'a GPU does not see the values before they are used, and cannot throw then: it gives NaN',
  ],
]);

const require = createRequire(import.meta.url);
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const BUNDLE = join(ROOT, 'dist', 'conformance.cjs');
const JASMINE = 'jasmine-core/lib/jasmine-core/jasmine.js';

/** Makes the addon be looked for next to our compiled modules, not next to the bundle. */
const ownModuleUrls = {
  name: 'own module URLs',
  /** @param {import('esbuild').PluginBuild} build */
  setup(build) {
    build.onLoad({ filter: /\/dist\/src\/.*\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replaceAll(
        'import.meta.url',
        JSON.stringify(pathToFileURL(path).href),
      ),
    }));
  },
};

await build({
  stdin: {
    contents: `
      import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
      import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js';
      import './dist/test/backend/native/conformance_environment.js';
      import '@tensorflow/tfjs-core/dist/tests.js';
    `,
    resolveDir: ROOT,
  },
  bundle: true,
  platform: 'node',
  format: 'cjs',
  mainFields: ['module', 'main'],
  // tfjs declares its modules free of side effects, but declaring specs is one.
  ignoreAnnotations: true,
  // The specs require it, but their package does not depend on it.
  alias: { [JASMINE]: require.resolve(JASMINE) },
  plugins: [ownModuleUrls],
  outfile: BUNDLE,
  logLevel: 'error',
});

const tested = process.argv[2] ?? 'native';
// Without a GPU, a double of NVIDIA's libraries stands in.
if (tested === 'native-cuda') process.env.TWOTOWER_CUDA ??= await buildDouble();

const jasmine = jasmineCore.boot();
jasmine.DEFAULT_TIMEOUT_INTERVAL = 20_000;
const environment = jasmine.getEnv();
environment.configure({ random: false });
process.env.TWOTOWER_CONFORMANCE_BACKEND = tested;
require(BUNDLE);

const counts = { passed: 0, failed: 0, excluded: 0, pending: 0 };
environment.addReporter({
  specDone({ fullName, status, failedExpectations }) {
    const reason = status === 'failed' ? EXCLUSIONS.get(fullName) : undefined;
    counts[reason === undefined ? status : 'excluded']++;
    if (status !== 'failed') return;
    console.log(reason === undefined ? `failed: ${fullName}` : `excluded: ${fullName}: ${reason}`);
    for (const { message } of failedExpectations) console.log(`  ${message}`);
  },
});
await environment.execute();
console.log(
  `${counts.passed} specs passed, ${counts.failed} failed, ${counts.excluded} excluded, ` +
    `${counts.pending} skipped by tfjs (${CPU_PASSES} pass on tfjs's CPU backend)`,
);
process.exitCode = counts.failed === 0 && counts.passed + counts.excluded >= CPU_PASSES ? 0 : 1;
