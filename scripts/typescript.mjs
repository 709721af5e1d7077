/**
 * The TypeScript build. dist/ is rebuilt if the sources are not those it was built from.
 *
 * `npm start` needs the program alone, without a check of its types; `npm test` builds everything.
 *
 * dist/.built lists the sources with size and time of change. It is written after a successful build. An
 * installed package has no sources; it brings dist/ with it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from './files.mjs';
import { run, timed } from './subprocess.mjs';

const PROGRAM = { folders: ['src', 'workers'], config: 'tsconfig.program.json' };
const ALL = { folders: [...PROGRAM.folders, 'test', 'scripts'], config: 'tsconfig.json' };
const OUTPUTS = ['.js', '.js.map', '.d.ts'];

/**
 * @param {string} root the project's folder
 * @param {boolean} all tests too
 * @returns {string[]} paths of the sources from there, without `.ts`
 */
function sourcesOf(root, all) {
  return (all ? ALL : PROGRAM).folders
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
  const files = sourcesOf(root, all).map((source) => `${source}.ts`);
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
    sourcesOf(root, all).every((source) => existsSync(join(root, 'dist', `${source}.js`)))
  );
}

/**
 * @param {string} root the project's folder
 * @param {boolean} all tests too
 */
export async function buildTypescript(root, all) {
  const signature = signatureOf(root, all);
  mkdirSync(join(root, 'dist'), { recursive: true });
  removeOrphans(root);
  // tsc's own record of what is up to date does not notice a missing output.
  if (!sourcesOf(root, all).every((source) => existsSync(join(root, 'dist', `${source}.js`)))) {
    rmSync(join(root, 'dist', '.tsbuildinfo'), { force: true });
  }
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const { config } = all ? ALL : PROGRAM;
  await timed(`compiling TypeScript (${signature.length - 1} files)`, () =>
    run(process.execPath, [compiler, '-p', join(root, config)]),
  );
  writeWhole(join(root, 'dist', '.built'), signature.join('\n'));
}

/**
 * Removes the outputs of sources that are gone; otherwise a removed test would still run.
 * @param {string} root
 */
function removeOrphans(root) {
  for (const folder of ALL.folders) {
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
