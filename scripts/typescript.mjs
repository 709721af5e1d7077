/**
 * The TypeScript build. dist/ is rebuilt if the sources are not those it was built from.
 *
 * `npm start` needs the program alone, without a check of its types, so esbuild builds it; for `npm test`, the
 * TypeScript compiler checks and builds everything. Either way esbuild bundles tfjs's gradients into
 * dist/tfjs_gradients.cjs, because tfjs-core has them only as modules that Node cannot load, and the script of the
 * page of `export --format html` into dist/browser/classify.js.
 *
 * dist/.built lists the sources with size and time of change. It is written after a successful build. An
 * installed package has no sources; it brings dist/ with it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from './files.mjs';
import { run, timed } from './subprocess.mjs';

const PROGRAM = ['src', 'workers'];
const ALL = [...PROGRAM, 'test', 'scripts'];
/** Sources of the page's script, which are bundled. */
const BROWSER = 'browser';
const OUTPUTS = ['.js', '.js.map', '.d.ts'];
const GRADIENTS = '@tensorflow/tfjs-core/dist/register_all_gradients.js';

/**
 * @param {string} root the project's folder
 * @param {boolean} all tests too
 * @returns {string[]} paths of the sources from there, without `.ts`
 */
function sourcesOf(root, all) {
  return sourcesIn(root, all ? ALL : PROGRAM);
}

/**
 * @param {string} root
 * @param {string[]} folders
 */
function sourcesIn(root, folders) {
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
        .map((name) => join(folder, name.slice(0, -'.ts'.length))),
    );
}

/**
 * One line per source, and one for the compiler's options.
 * @param {string} root
 * @param {boolean} all
 */
function signatureOf(root, all) {
  const sources = [...sourcesOf(root, all), ...sourcesIn(root, [BROWSER])];
  const files = sources.map((source) => `${source}.ts`);
  return [...files, 'tsconfig.json'].map((file) => {
    const { size, mtimeMs } = statSync(join(root, file));
    return `${file} ${size} ${mtimeMs}`;
  });
}

/**
 * @param {string} root the project's folder
 * @param {boolean} all tests too
 */
export function typescriptBuilt(root, all) {
  if (!existsSync(join(root, 'tsconfig.json'))) return true;
  const stamp = join(root, 'dist', '.built');
  if (!existsSync(stamp)) return false;
  const built = new Set(readFileSync(stamp, 'utf8').split('\n'));
  return (
    signatureOf(root, all).every((line) => built.has(line)) &&
    existsSync(gradientsOf(root)) &&
    existsSync(pageScriptOf(root)) &&
    sourcesOf(root, all).every((source) => existsSync(join(root, 'dist', `${source}.js`)))
  );
}

/** @param {string} root */
const gradientsOf = (root) => join(root, 'dist', 'tfjs_gradients.cjs');
/** @param {string} root */
const pageScriptOf = (root) => join(root, 'dist', BROWSER, 'classify.js');

/**
 * @param {string} root the project's folder
 * @param {boolean} all tests too
 */
export async function buildTypescript(root, all) {
  const signature = signatureOf(root, all);
  mkdirSync(join(root, 'dist'), { recursive: true });
  removeOrphans(root);
  await timed(`compiling TypeScript (${signature.length - 1} files)`, async () => {
    await (all ? checkAndCompile(root) : compile(root));
    await bundleGradients(root);
    await bundlePageScript(root);
  });
  writeWhole(join(root, 'dist', '.built'), signature.join('\n'));
}

/** @param {string} root */
async function checkAndCompile(root) {
  // tsc's own record of what is up to date does not notice a missing output.
  if (!sourcesOf(root, true).every((source) => existsSync(join(root, 'dist', `${source}.js`)))) {
    rmSync(join(root, 'dist', '.tsbuildinfo'), { force: true });
  }
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [compiler, '-p', join(root, 'tsconfig.json')]);
  await run(process.execPath, [compiler, '-p', join(root, BROWSER)]);
}

/**
 * Compiles the program without a check of its types.
 * @param {string} root
 */
async function compile(root) {
  await esbuild({
    entryPoints: sourcesOf(root, false).map((source) => join(root, `${source}.ts`)),
    outbase: root,
    outdir: join(root, 'dist'),
    format: 'esm',
    platform: 'node',
    tsconfig: join(root, 'tsconfig.json'),
  });
}

/** @param {string} root the project's folder */
export async function bundleGradients(root) {
  await esbuild({
    entryPoints: [join(root, 'node_modules', GRADIENTS)],
    outfile: gradientsOf(root),
    bundle: true,
    format: 'cjs',
    platform: 'node',
    mainFields: ['module', 'main'],
    legalComments: 'eof',
  });
}

/** @param {string} root the project's folder */
export async function bundlePageScript(root) {
  await esbuild({
    entryPoints: [join(root, BROWSER, 'classify.ts')],
    outfile: pageScriptOf(root),
    bundle: true,
    minify: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    loader: { '.wasm': 'dataurl' },
    tsconfig: join(root, BROWSER, 'tsconfig.json'),
    legalComments: 'eof',
  });
}

/** @param {import('esbuild').BuildOptions} options */
async function esbuild(options) {
  // Imported here, because set-up installs it first.
  const { build, stop } = await import('esbuild');
  try {
    await build({ ...options, logLevel: 'silent' });
  } finally {
    await stop();
  }
}

/**
 * Removes the outputs of sources that are gone; otherwise a removed test would still run.
 * @param {string} root
 */
function removeOrphans(root) {
  for (const folder of ALL) {
    const outputs = join(root, 'dist', folder);
    if (!existsSync(outputs)) continue;
    for (const name of readdirSync(outputs, { recursive: true, encoding: 'utf8' })) {
      const ending = OUTPUTS.find((candidate) => name.endsWith(candidate));
      if (ending === undefined) continue;
      const source = join(root, folder, `${name.slice(0, -ending.length)}.ts`);
      if (!existsSync(source)) rmSync(join(outputs, name));
    }
  }
}
